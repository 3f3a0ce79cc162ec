// Collectives of tensors on GPUs. NCCL moves the bytes, sums are taken in rank order by a kernel of
// our own, so that a run on GPUs adds as one on CPUs does
// (docs/decisions/0006-nccl-moves-bytes.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/comm/nccl_session.h"

namespace cloze {

// Every call is queued on the group's own stream behind what the rank has computed so far, and
// returns; wait() lets the stream that computes then wait for it, and never the host.
class NcclCommunicator final : public Communicator {
 public:
  // Owns `comm` and `stream`; both are null for a group of one. The session outlives it.
  NcclCommunicator(std::string name, int rank, int size, NcclSession& session, NcclComm comm,
                   CudaStream stream);
  ~NcclCommunicator() override;

  std::int64_t reduction_bytes(std::int64_t elements, std::int64_t width) const override;

  // Every rank calls it before all other calls: sends a byte to each peer and gets one, whereby
  // NCCL connects them.
  void talk(Peers peers);

 private:
  Work do_all_reduce(at::Tensor tensor, ReduceOp op) override;
  Work do_all_gather(at::Tensor output, at::Tensor input) override;
  Work do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) override;
  Work do_all_to_all(at::Tensor output, at::Tensor input, std::span<const std::int64_t> output_rows,
                     std::span<const std::int64_t> input_rows) override;
  Work do_broadcast(at::Tensor tensor, int root) override;
  Work do_exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) override;
  void do_barrier() override;

  // Queues a call whose operations `queue_operations` puts on the stream. The tensors are held.
  Work start(const char* call, std::int64_t bytes, std::vector<at::Tensor> tensors,
             const std::function<void()>& queue_operations);
  // The operations that `queue_operations` makes begin together.
  void together(const std::function<void()>& queue_operations);
  // A call of NCCL on this group.
  template <typename Call>
  void call(const Call& make) const {
    session_.call(comm_, name(), make);
  }

  void send(const void* data, std::int64_t bytes, int peer);
  void receive(void* data, std::int64_t bytes, int peer);
  void gather(void* whole, const void* part, std::int64_t bytes);
  void broadcast(void* data, std::int64_t bytes, int root);
  void copy(void* to, const void* from, std::int64_t bytes);

  // Of every rank's part, one after the other in `staging`, the addresses; `own` for this rank's.
  std::vector<const void*> parts_in(const at::Tensor& staging, std::int64_t bytes,
                                    const void* own) const;

  struct Part {
    std::byte* data;
    std::int64_t bytes;
  };
  // Sends every rank its part of this one's tensor and reduces all ranks' parts that are this
  // rank's to `output`. `staging` has room for one from every rank.
  void reduce_own_part(const std::function<Part(int peer)>& part_of, const at::Tensor& staging,
                       void* output, at::ScalarType dtype, ReduceOp op);

  NcclSession& session_;
  const NcclComm comm_;
  const CudaStream stream_;
  CudaEvent ready_ = nullptr;  // What the rank had computed when it made the last call.
  std::int64_t num_calls_ = 0;
};

}  // namespace cloze
