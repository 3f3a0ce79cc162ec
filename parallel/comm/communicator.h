// One group of ranks and the collectives they run together.
//
// This is the only door to other ranks. MpiCommunicator carries CPU tensors, NcclCommunicator those
// of GPUs, LocalCommunicator the threads of one process. Calls match by order: every rank of the
// group issues the same calls in the same order. All sums are taken element by element in rank
// order, in fp32 for 16-bit inputs, so every rank gets the same bits and no backend's algorithm
// shows (docs/decisions/0003-ordered-sums.md). A tensor given to a call belongs to it until wait().
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "parallel/trace/trace.h"

namespace cloze {

enum class ReduceOp : std::uint8_t { kSum, kMax };

// A collective in flight. Holds its tensors until wait() returns, so a caller may drop its own
// handles. Destroying one that was never waited for is a bug and terminates, as with
// std::thread; while an exception unwinds the stack it leaks its tensors instead, since a
// transfer may still write to them and the process is ending.
class [[nodiscard]] Work {
 public:
  // What a backend must know to finish one call: MPI requests, a CUDA event.
  struct Pending {
    virtual ~Pending() = default;
    // CPU: blocks this thread. CUDA: makes the current stream wait, not the host.
    virtual void wait() = 0;
    // True when wait() would not block. Also gives the backend a chance to make progress.
    virtual bool test() = 0;
    // Whether the backend may touch the tensors after wait() threw or was never called.
    virtual bool may_still_write() const { return true; }
  };

  Work() = default;  // Nothing to wait for.
  Work(std::unique_ptr<Pending> pending, std::vector<at::Tensor> tensors);
  Work(Work&&) noexcept = default;
  Work& operator=(Work&&) = delete;  // Would drop the one in flight.
  ~Work();

  bool test();
  // Throws Error kTransient when the deadline passes or a rank is lost; the Work is then spent.
  void wait();

  // The same, with its end and what wait() blocks for recorded.
  Work traced(const CallTrace& call) &&;

 private:
  // Lets go of a call that will not be finished; see above for what leaks.
  void give_up() noexcept;

  std::unique_ptr<Pending> pending_;
  std::vector<at::Tensor> tensors_;
  CallTrace call_;
};

// One side of a point-to-point transfer, for exchange().
struct Transfer {
  at::Tensor tensor;  // Contiguous; its bytes are sent, or received into.
  int peer;           // Rank in the group.
};

// The place of a rank of the world among the members of a group that it makes. Throws Error
// kInternal when it is none of them.
int rank_among(const std::vector<int>& members, int world_rank, const std::string& name);

class Communicator;

// Makes a communicator of a name and the world ranks of its group, this rank among them. Every rank
// of the world makes its group of a name at the same point.
using MakeGroup =
    std::function<std::unique_ptr<Communicator>(const std::string&, const std::vector<int>&)>;

class Communicator {
 public:
  // `device`: where the tensors of its calls are.
  Communicator(std::string name, int rank, int size, at::Device device = at::kCPU);
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  const std::string& name() const { return name_; }  // "tensor", "data", ...: for errors, traces.
  int rank() const { return rank_; }                 // In this group: 0 <= rank < size.
  int size() const { return size_; }
  at::Device device() const { return device_; }
  // Bytes of the device that a sum of so many elements of `width` bytes holds while it is under
  // way, beside the tensor: for plans of memory.
  virtual std::int64_t reduction_bytes(std::int64_t /*elements*/, std::int64_t /*width*/) const {
    return 0;
  }

  // In place. `tensor` ends as the reduction over all ranks, the same bits on each. The maximum
  // of anything and NaN is NaN.
  Work all_reduce(at::Tensor tensor, ReduceOp op);

  // input [n, ...] of every rank, in rank order -> output [size * n, ...]. Input may be this
  // rank's rows of output.
  Work all_gather(at::Tensor output, at::Tensor input);

  // input [size * n, ...], reduced; rank r keeps rows [r * n, (r + 1) * n) -> output [n, ...].
  // Output may be this rank's rows of input; all other rows of input stay as they are.
  Work reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op);

  // Row block r of `input` goes to rank r; row counts per rank, in rank order. Bytes only.
  Work all_to_all(at::Tensor output, at::Tensor input, std::span<const std::int64_t> output_rows,
                  std::span<const std::int64_t> input_rows);

  // In place. `tensor` ends as the root's.
  Work broadcast(at::Tensor tensor, int root);

  // Posts all transfers together, so that no order of sends and receives can deadlock. Only the
  // ranks that take part call it; transfers of a pair match in the order of their calls.
  Work exchange(std::span<const Transfer> sends, std::span<const Transfer> receives);

  // Returns when every rank has called it.
  void barrier();

  // Calls from now on are recorded while the trace is on, until stop_recording().
  // `members`: the world ranks of the group, in its order.
  void record_into(Trace& trace, std::vector<int> members);
  void stop_recording() { trace_ = nullptr; }

 private:
  CallTrace open_call(TraceName name, const at::Tensor& whole) const;
  CallTrace open_exchange(std::span<const Transfer> sends,
                          std::span<const Transfer> receives) const;

  // The public calls check shapes and devices once and record the call, then come here. A backend
  // moves bytes and checks nothing. Never called for a group of one, for a transfer to oneself, or,
  // but for all_to_all and exchange, with empty tensors.
  virtual Work do_all_reduce(at::Tensor tensor, ReduceOp op) = 0;
  virtual Work do_all_gather(at::Tensor output, at::Tensor input) = 0;
  virtual Work do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) = 0;
  virtual Work do_all_to_all(at::Tensor output, at::Tensor input,
                             std::span<const std::int64_t> output_rows,
                             std::span<const std::int64_t> input_rows) = 0;
  virtual Work do_broadcast(at::Tensor tensor, int root) = 0;
  virtual Work do_exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) = 0;
  virtual void do_barrier() = 0;

  const std::string name_;
  const int rank_;
  const int size_;
  const at::Device device_;
  Trace* trace_ = nullptr;
  int trace_group_ = 0;  // Of this group in the trace.
};

}  // namespace cloze
