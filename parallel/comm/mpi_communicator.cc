// All data but broadcasts goes by MPI_Isend and MPI_Irecv of bytes: that is what the
// non-blocking collectives of MPI do inside, without their limits of int displacements, and the
// order of a sum stays ours.
#include "parallel/comm/mpi_communicator.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/comm/ordered_reduce.h"

namespace cloze {
namespace {

// Up to here an all_reduce goes in one round: more bytes in all, but one latency instead of two.
constexpr std::int64_t kBytesAtOnce = 16 * 1024;
// Tags below are for exchange(), tags from here up for collectives; MPI promises 2^15 of them.
constexpr std::int64_t kNumTags = 1 << 14;

int exchange_tag(std::int64_t message) { return static_cast<int>(message % kNumTags); }
int collective_tag(std::int64_t call) { return static_cast<int>(kNumTags + call % kNumTags); }

std::byte* bytes_of(const at::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.mutable_data_ptr());
}

}  // namespace

MpiCommunicator::MpiCommunicator(std::string name, MPI_Comm comm, int rank, int size,
                                 MpiProgress& progress, std::chrono::seconds deadline,
                                 std::int64_t max_message_bytes)
    : Communicator(std::move(name), rank, size),
      comm_(comm),
      progress_(progress),
      deadline_(deadline),
      max_message_bytes_(max_message_bytes),
      num_sent_(size, 0),
      num_expected_(size, 0) {}

MpiCommunicator::~MpiCommunicator() {
  // Freeing waits for the other ranks, which do not come when this one has failed.
  if (comm_ != MPI_COMM_NULL && std::uncaught_exceptions() == 0) MPI_Comm_free(&comm_);
}

std::unique_ptr<MpiOperation> MpiCommunicator::start(const char* call) {
  const std::int64_t number = num_calls_++;
  return std::make_unique<MpiOperation>(
      progress_, MpiOperation::Place{.comm = comm_,
                                     .tag = collective_tag(number),
                                     .group = name(),
                                     .call = call,
                                     .number = number,
                                     .rank = rank(),
                                     .size = size(),
                                     .deadline = deadline_,
                                     .max_message_bytes = max_message_bytes_});
}

template <typename Visit>
void MpiCommunicator::for_each_peer(const Visit& visit) const {
  for (int step = 1; step < size(); ++step) visit((rank() + step) % size());
}

Work MpiCommunicator::do_all_reduce(at::Tensor tensor, ReduceOp op) {
  return static_cast<std::int64_t>(tensor.nbytes()) <= kBytesAtOnce
             ? all_reduce_at_once(std::move(tensor), op)
             : all_reduce_in_slices(std::move(tensor), op);
}

Work MpiCommunicator::all_reduce_at_once(at::Tensor tensor, ReduceOp op) {
  auto operation = start("all_reduce");
  const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
  std::byte* staging = operation->staging(bytes * size());
  std::vector<const void*> parts(size(), bytes_of(tensor));
  for_each_peer([&](int peer) {
    operation->receive(staging + peer * bytes, bytes, peer);
    parts[peer] = staging + peer * bytes;
  });
  for_each_peer([&](int peer) { operation->send(bytes_of(tensor), bytes, peer); });
  operation->then([tensor, op, parts = std::move(parts)] {
    ordered_reduce(bytes_of(tensor), parts, tensor.numel(), tensor.scalar_type(), op);
  });
  return {std::move(operation), {std::move(tensor)}};
}

Work MpiCommunicator::all_reduce_in_slices(at::Tensor tensor, ReduceOp op) {
  auto operation = start("all_reduce");
  const std::int64_t width = tensor.element_size();
  const auto place = [tensor, width](const Range& slice) {
    return bytes_of(tensor) + slice.first * width;
  };
  const Range mine = reduction_slice(tensor.numel(), size(), rank());
  const std::int64_t bytes = mine.count() * width;
  std::byte* staging = operation->staging(bytes * size());
  std::vector<const void*> parts(size(), place(mine));
  for_each_peer([&](int peer) {
    operation->receive(staging + peer * bytes, bytes, peer);
    parts[peer] = staging + peer * bytes;
  });
  for_each_peer([&](int peer) {
    const Range slice = reduction_slice(tensor.numel(), size(), peer);
    operation->send(place(slice), slice.count() * width, peer);
  });
  // By pointer: the rounds belong to the operation.
  operation->then(
      [this, op, tensor, mine, width, place, parts = std::move(parts), running = operation.get()] {
        ordered_reduce(place(mine), parts, mine.count(), tensor.scalar_type(), op);
        for_each_peer([&](int peer) {
          const Range slice = reduction_slice(tensor.numel(), size(), peer);
          running->receive(place(slice), slice.count() * width, peer);
        });
        for_each_peer([&](int peer) { running->send(place(mine), mine.count() * width, peer); });
      });
  operation->drive_from_anywhere();
  return {std::move(operation), {std::move(tensor)}};
}

Work MpiCommunicator::do_all_gather(at::Tensor output, at::Tensor input) {
  auto operation = start("all_gather");
  const auto bytes = static_cast<std::int64_t>(input.nbytes());
  for_each_peer(
      [&](int peer) { operation->receive(bytes_of(output) + peer * bytes, bytes, peer); });
  for_each_peer([&](int peer) { operation->send(input.const_data_ptr(), bytes, peer); });
  std::byte* own = bytes_of(output) + rank() * bytes;
  if (own != input.const_data_ptr()) std::memcpy(own, input.const_data_ptr(), bytes);
  return {std::move(operation), {std::move(output), std::move(input)}};
}

Work MpiCommunicator::do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) {
  auto operation = start("reduce_scatter");
  const auto bytes = static_cast<std::int64_t>(output.nbytes());
  std::byte* staging = operation->staging(bytes * size());
  std::vector<const void*> parts(size(), bytes_of(input) + rank() * bytes);
  for_each_peer([&](int peer) {
    operation->receive(staging + peer * bytes, bytes, peer);
    parts[peer] = staging + peer * bytes;
  });
  for_each_peer([&](int peer) { operation->send(bytes_of(input) + peer * bytes, bytes, peer); });
  operation->then([output, op, parts = std::move(parts)] {
    ordered_reduce(bytes_of(output), parts, output.numel(), output.scalar_type(), op);
  });
  return {std::move(operation), {std::move(output), std::move(input)}};
}

Work MpiCommunicator::do_all_to_all(at::Tensor output, at::Tensor input,
                                    std::span<const std::int64_t> output_rows,
                                    std::span<const std::int64_t> input_rows) {
  auto operation = start("all_to_all");
  const std::int64_t row_bytes =
      c10::multiply_integers(input.sizes().slice(1)) * input.element_size();
  std::byte* to = bytes_of(output);
  std::byte* own = nullptr;
  for (int peer = 0; peer < size(); ++peer) {
    const std::int64_t bytes = output_rows[peer] * row_bytes;
    if (peer == rank()) {
      own = to;
    } else {
      operation->receive(to, bytes, peer);
    }
    to += bytes;
  }
  const std::byte* from = bytes_of(input);
  for (int peer = 0; peer < size(); ++peer) {
    const std::int64_t bytes = input_rows[peer] * row_bytes;
    if (peer != rank()) {
      operation->send(from, bytes, peer);
    } else if (bytes > 0) {
      std::memcpy(own, from, bytes);
    }
    from += bytes;
  }
  return {std::move(operation), {std::move(output), std::move(input)}};
}

Work MpiCommunicator::do_broadcast(at::Tensor tensor, int root) {
  auto operation = start("broadcast");
  operation->broadcast(bytes_of(tensor), static_cast<std::int64_t>(tensor.nbytes()), root);
  return {std::move(operation), {std::move(tensor)}};
}

Work MpiCommunicator::do_exchange(std::span<const Transfer> sends,
                                  std::span<const Transfer> receives) {
  // Not counted as a call: only some ranks of the group make it.
  auto operation = start("exchange");
  --num_calls_;
  std::vector<at::Tensor> tensors;
  for (const auto& [tensor, peer] : receives) {
    operation->set_tag(exchange_tag(num_expected_[peer]++));
    operation->receive(bytes_of(tensor), static_cast<std::int64_t>(tensor.nbytes()), peer);
    tensors.push_back(tensor);
  }
  for (const auto& [tensor, peer] : sends) {
    operation->set_tag(exchange_tag(num_sent_[peer]++));
    operation->send(bytes_of(tensor), static_cast<std::int64_t>(tensor.nbytes()), peer);
    tensors.push_back(tensor);
  }
  return {std::move(operation), std::move(tensors)};
}

void MpiCommunicator::do_barrier() {
  auto operation = start("barrier");
  operation->barrier();
  Work(std::move(operation), {}).wait();
}

}  // namespace cloze
