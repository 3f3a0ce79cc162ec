// Collectives of CPU tensors over MPI, with sums in rank order.
#pragma once

#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/comm/mpi_progress.h"

namespace cloze {

class MpiCommunicator final : public Communicator {
 public:
  // Messages of MPI count their bytes in an int.
  static constexpr std::int64_t kMaxMessageBytes = std::int64_t{1} << 30;

  // Owns `comm`, whose rank and size these are; MPI_COMM_NULL for a group of one. `progress`
  // outlives the communicator and every Work of it.
  MpiCommunicator(std::string name, MPI_Comm comm, int rank, int size, MpiProgress& progress,
                  std::chrono::seconds deadline, std::int64_t max_message_bytes = kMaxMessageBytes);
  ~MpiCommunicator() override;

 private:
  Work do_all_reduce(at::Tensor tensor, ReduceOp op) override;
  Work do_all_gather(at::Tensor output, at::Tensor input) override;
  Work do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) override;
  Work do_all_to_all(at::Tensor output, at::Tensor input, std::span<const std::int64_t> output_rows,
                     std::span<const std::int64_t> input_rows) override;
  Work do_broadcast(at::Tensor tensor, int root) override;
  Work do_exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) override;
  void do_barrier() override;

  // A whole all_reduce in one round: every rank gets all of every other.
  Work all_reduce_at_once(at::Tensor tensor, ReduceOp op);
  // In two rounds: every rank reduces one slice, then all get all slices.
  Work all_reduce_in_slices(at::Tensor tensor, ReduceOp op);

  std::unique_ptr<MpiOperation> start(const char* call);
  // Calls visit(peer) for all other ranks, the next one first, so that not all send to rank 0.
  template <typename Visit>
  void for_each_peer(const Visit& visit) const;

  MPI_Comm comm_;
  MpiProgress& progress_;
  const std::chrono::seconds deadline_;
  const std::int64_t max_message_bytes_;
  std::int64_t num_calls_ = 0;
  std::vector<std::int64_t> num_sent_;      // exchange() messages to each peer.
  std::vector<std::int64_t> num_expected_;  // And from each.
};

}  // namespace cloze
