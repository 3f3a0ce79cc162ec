#include "parallel/comm/staged_communicator.h"

#include <ATen/ATen.h>

#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// A tensor of the device, and what it becomes.
struct Arrival {
  at::Tensor tensor;
  at::Tensor host;
};

// A call in flight on the host. The thread that waits for it brings its results to the device.
struct StagedPending final : Work::Pending {
  StagedPending(Work call, std::vector<Arrival> results)
      : work(std::move(call)), arrivals(std::move(results)) {}

  void wait() override {
    work.wait();
    for (const Arrival& arrival : arrivals) arrival.tensor.copy_(arrival.host);
  }
  bool test() override { return work.test(); }
  // The host's call holds its own tensors.
  bool may_still_write() const override { return false; }

  Work work;
  std::vector<Arrival> arrivals;
};

Work in_flight(Work call, std::vector<Arrival> arrivals) {
  std::vector<at::Tensor> tensors;
  for (const Arrival& arrival : arrivals) tensors.push_back(arrival.tensor);
  return {std::make_unique<StagedPending>(std::move(call), std::move(arrivals)),
          std::move(tensors)};
}

}  // namespace

StagedCommunicator::StagedCommunicator(std::unique_ptr<Communicator> host, at::Device device)
    : Communicator(host->name(), host->rank(), host->size(), device), host_(std::move(host)) {
  CLOZE_CHECK(host_->device().is_cpu(), str(name(), ": staging over ", host_->device()),
              "give it a communicator of CPU tensors");
}

at::Tensor StagedCommunicator::room_for(const at::Tensor& tensor) const {
  // Pinned, a copy needs no other one.
  return at::empty(
      tensor.sizes(),
      at::TensorOptions().dtype(tensor.scalar_type()).pinned_memory(!device().is_cpu()));
}

at::Tensor StagedCommunicator::to_host(const at::Tensor& tensor) const {
  at::Tensor host = room_for(tensor);
  host.copy_(tensor);  // Waits for what computes it.
  return host;
}

Work StagedCommunicator::do_all_reduce(at::Tensor tensor, ReduceOp op) {
  const at::Tensor host = to_host(tensor);
  return in_flight(host_->all_reduce(host, op), {{std::move(tensor), host}});
}

Work StagedCommunicator::do_all_gather(at::Tensor output, at::Tensor input) {
  const at::Tensor all = room_for(output);
  return in_flight(host_->all_gather(all, to_host(input)), {{std::move(output), all}});
}

Work StagedCommunicator::do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) {
  const at::Tensor part = room_for(output);
  return in_flight(host_->reduce_scatter(part, to_host(input), op), {{std::move(output), part}});
}

Work StagedCommunicator::do_all_to_all(at::Tensor output, at::Tensor input,
                                       std::span<const std::int64_t> output_rows,
                                       std::span<const std::int64_t> input_rows) {
  const at::Tensor received = room_for(output);
  return in_flight(host_->all_to_all(received, to_host(input), output_rows, input_rows),
                   {{std::move(output), received}});
}

Work StagedCommunicator::do_broadcast(at::Tensor tensor, int root) {
  const at::Tensor host = rank() == root ? to_host(tensor) : room_for(tensor);
  return in_flight(host_->broadcast(host, root), {{std::move(tensor), host}});
}

Work StagedCommunicator::do_exchange(std::span<const Transfer> sends,
                                     std::span<const Transfer> receives) {
  std::vector<Transfer> host_sends;
  std::vector<Transfer> host_receives;
  std::vector<Arrival> arrivals;
  for (const Transfer& transfer : sends) {
    host_sends.push_back({to_host(transfer.tensor), transfer.peer});
  }
  for (const Transfer& transfer : receives) {
    host_receives.push_back({room_for(transfer.tensor), transfer.peer});
    arrivals.push_back({transfer.tensor, host_receives.back().tensor});
  }
  return in_flight(host_->exchange(host_sends, host_receives), std::move(arrivals));
}

void StagedCommunicator::do_barrier() { host_->barrier(); }

}  // namespace cloze
