// GPUs and their NCCL, played on the CPU by threads of one process, to find what a first run on
// real ones would: a transfer that does not wait for what it sends, a result that is used too
// early, calls in another order on another rank, a buffer that dies while it is being sent.
//
// A stream is a queue, and nothing in it happens before somebody has to wait for it; of what may
// happen, chance chooses. Device memory is the CPU's. The stream that a rank computes on is the
// exception: LibTorch computes CPU tensors at once, so what is put there happens at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/nccl_session.h"
#include "parallel/device/cuda_runtime.h"
#include "parallel/device/nccl_library.h"

namespace cloze {

class SimulatedGpus {
 public:
  struct Options {
    std::uint64_t seed = 1;  // Of what chance chooses.
    // A transfer begins only when those that the rank made before are done, of whatever group: as
    // on a GPU that has no room for two. What hangs then could hang on a GPU.
    bool one_transfer_at_a_time = false;
    // Of a rank's NCCL.
    std::function<int(int rank)> version_of = [](int) { return 22809; };
    // Rank r computes on GPU r % num_gpus; 0: as many as ranks.
    int num_gpus = 0;
    // What Rank::compute() puts on the stream that a rank computes on happens late, too. Not for
    // tensors that LibTorch computes.
    bool late_compute = false;
    at::Device tensors = at::kCPU;  // Where tensors are; memory of the host in any case.
    // How long a rank waits for another.
    std::chrono::seconds deadline{30};
  };

  SimulatedGpus(int num_ranks, const Options& options);
  SimulatedGpus(const SimulatedGpus&) = delete;
  SimulatedGpus& operator=(const SimulatedGpus&) = delete;
  ~SimulatedGpus();

  // A rank while its thread is in it: calls of that thread are this rank's.
  class Rank {
   public:
    Rank(SimulatedGpus& gpus, int rank);
    Rank(const Rank&) = delete;
    Rank& operator=(const Rank&) = delete;
    ~Rank();
    NcclDevice device() const;
    // Puts a kernel on the stream that the rank computes on.
    void compute(std::function<void()> kernel);
    // Returns when all that is on it has happened.
    void finish();

   private:
    SimulatedGpus& gpus_;
    const int rank_;
  };

  // The `count`th call from now on of this rank to the function of that name ("send") fails. With
  // "kernel" it is a transfer that fails: NCCL tells of it afterwards.
  void fail(int rank, const std::string& function, int count, NcclResult result);
  // Transfers of this rank never begin.
  void hang(int rank);
  // This rank's calls of the function ("send", "comm_abort") do not return before unblock().
  void block(int rank, const std::string& function);
  void unblock();

  // The NCCL calls of a rank, in order: "tensor send 512 to 1".
  std::vector<std::string> calls(int rank) const;
  // Communicators that are neither destroyed nor aborted, and events and streams that are left.
  int num_alive() const;
  int num_aborted() const;
  int num_groups_open() const;
  // The first thing that was done wrong; empty when there was none.
  std::string problem() const;

  // On a stream of the rank that calls, as a kernel would be.
  static void launch(CudaStream stream, std::function<void()> kernel);

  struct State;

 private:
  const std::unique_ptr<State> state_;
};

}  // namespace cloze
