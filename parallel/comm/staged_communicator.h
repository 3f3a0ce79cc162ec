// Collectives of tensors on a device through the memory of the host, over a communicator of CPU
// tensors: for ranks that share a GPU, which NCCL refuses, and for devices without a library of
// collectives. What is summed, and in which order, is the other communicator's.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "parallel/comm/communicator.h"

namespace cloze {

class StagedCommunicator final : public Communicator {
 public:
  // `host` carries CPU tensors.
  StagedCommunicator(std::unique_ptr<Communicator> host, at::Device device);

 private:
  Work do_all_reduce(at::Tensor tensor, ReduceOp op) override;
  Work do_all_gather(at::Tensor output, at::Tensor input) override;
  Work do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) override;
  Work do_all_to_all(at::Tensor output, at::Tensor input, std::span<const std::int64_t> output_rows,
                     std::span<const std::int64_t> input_rows) override;
  Work do_broadcast(at::Tensor tensor, int root) override;
  Work do_exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) override;
  void do_barrier() override;

  at::Tensor room_for(const at::Tensor& tensor) const;  // On the host, where the device can copy.
  at::Tensor to_host(const at::Tensor& tensor) const;

  const std::unique_ptr<Communicator> host_;
};

}  // namespace cloze
