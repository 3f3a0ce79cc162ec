#include "parallel/comm/nccl_communicator.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/comm/ordered_reduce.h"

namespace cloze {
namespace {

// Up to here every rank gets all of every other and reduces all of it: one transfer, not two.
constexpr std::int64_t kBytesAtOnce = 64 * 1024;

std::byte* bytes_of(const at::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.mutable_data_ptr());
}

struct NcclPending final : Work::Pending {
  NcclPending(NcclSession& owner, NcclCall& started) : session(owner), call(started) {}
  ~NcclPending() override { session.calls().release(call); }

  void wait() override {
    session.check_alive();
    const NcclDevice& device = session.device();
    session.guarded([&] {
      device.cuda.check(device.cuda.stream_wait_event(device.compute_stream(), call.event, 0),
                        "waiting for a collective");
    });
  }
  bool test() override {
    session.check_alive();
    bool is_done = false;
    session.guarded([&] { is_done = session.calls().poll(call); });
    return is_done;
  }

  NcclSession& session;
  NcclCall& call;
};

}  // namespace

NcclCommunicator::NcclCommunicator(std::string name, int rank, int size, NcclSession& session,
                                   NcclComm comm, CudaStream stream)
    : Communicator(std::move(name), rank, size, session.device().tensors),
      session_(session),
      comm_(comm),
      stream_(stream) {
  if (size == 1) return;
  const CudaRuntime& cuda = session_.device().cuda;
  cuda.check(cuda.event_create(&ready_, kCudaEventDisableTiming), "making an event");
}

NcclCommunicator::~NcclCommunicator() {
  if (comm_ == nullptr) return;
  session_.end(comm_, stream_);
  session_.device().cuda.event_destroy(ready_);
}

Work NcclCommunicator::start(const char* call, std::int64_t bytes, std::vector<at::Tensor> tensors,
                             const std::function<void()>& queue_operations) {
  session_.check_alive();
  const NcclDevice& device = session_.device();
  NcclCall* begun = nullptr;
  session_.guarded([&] { begun = &session_.calls().begin(name(), call, num_calls_++, bytes); });
  NcclCall& started = *begun;
  // Holds the tensors from here on: when something fails, what is queued may still write to them.
  Work work(std::make_unique<NcclPending>(session_, started), std::move(tensors));
  session_.guarded([&] {
    device.cuda.check(device.cuda.event_record(ready_, device.compute_stream()),
                      "recording an event");
    device.cuda.check(device.cuda.stream_wait_event(stream_, ready_, 0), "ordering streams");
    queue_operations();
    session_.calls().queue(started, stream_);
  });
  return work;
}

void NcclCommunicator::together(const std::function<void()>& queue_operations) {
  const NcclLibrary& nccl = session_.device().nccl;
  {
    // To its end: no communicator of an open group may be taken away.
    const NcclSession::Inside inside(session_);
    call([&] { return nccl.group_start(); });
    try {
      queue_operations();
    } catch (...) {
      nccl.group_end();  // Whatever it says: the first error is the one to tell.
      throw;
    }
    // Closed whatever has failed meanwhile.
    const NcclResult result = nccl.group_end();
    session_.throw_failure();
    session_.check(result, comm_, name());
  }
  // Nothing may be called on the group before NCCL has taken this in.
  session_.settle(comm_, name());
}

void NcclCommunicator::send(const void* data, std::int64_t bytes, int peer) {
  call([&] { return session_.device().nccl.send(data, bytes, kNcclUint8, peer, comm_, stream_); });
}

void NcclCommunicator::receive(void* data, std::int64_t bytes, int peer) {
  call([&] { return session_.device().nccl.recv(data, bytes, kNcclUint8, peer, comm_, stream_); });
}

void NcclCommunicator::gather(void* whole, const void* part, std::int64_t bytes) {
  call([&] {
    return session_.device().nccl.all_gather(part, whole, bytes, kNcclUint8, comm_, stream_);
  });
  session_.settle(comm_, name());
}

void NcclCommunicator::broadcast(void* data, std::int64_t bytes, int root) {
  call([&] {
    return session_.device().nccl.broadcast(data, data, bytes, kNcclUint8, root, comm_, stream_);
  });
}

void NcclCommunicator::copy(void* to, const void* from, std::int64_t bytes) {
  const CudaRuntime& cuda = session_.device().cuda;
  if (to == from || bytes == 0) return;
  cuda.check(cuda.memcpy_async(to, from, bytes, kCudaMemcpyDefault, stream_), "copying");
}

std::vector<const void*> NcclCommunicator::parts_in(const at::Tensor& staging, std::int64_t bytes,
                                                    const void* own) const {
  std::vector<const void*> parts;
  for (int peer = 0; peer < size(); ++peer) {
    parts.push_back(peer == rank() ? own : bytes_of(staging) + peer * bytes);
  }
  return parts;
}

void NcclCommunicator::reduce_own_part(const std::function<Part(int peer)>& part_of,
                                       const at::Tensor& staging, void* output,
                                       at::ScalarType dtype, ReduceOp op) {
  const Part own = part_of(rank());
  together([&] {
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank()) continue;
      const Part part = part_of(peer);
      send(part.data, part.bytes, peer);
      receive(bytes_of(staging) + peer * own.bytes, own.bytes, peer);
    }
  });
  const auto width = static_cast<std::int64_t>(c10::elementSize(dtype));
  session_.device().reduce(output, parts_in(staging, own.bytes, own.data), own.bytes / width, dtype,
                           op, stream_);
}

std::int64_t NcclCommunicator::reduction_bytes(std::int64_t elements, std::int64_t width) const {
  if (size() == 1) return 0;
  const std::int64_t bytes = elements * width;
  if (bytes <= kBytesAtOnce) return bytes * size();
  return reduction_slice(elements, size(), rank()).count() * width * size();
}

Work NcclCommunicator::do_all_reduce(at::Tensor tensor, ReduceOp op) {
  const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
  if (bytes <= kBytesAtOnce) {
    const at::Tensor staging = session_.device().make_bytes(bytes * size());
    return start("all_reduce", bytes, {tensor, staging}, [&] {
      gather(bytes_of(staging), bytes_of(tensor), bytes);
      session_.device().reduce(bytes_of(tensor), parts_in(staging, bytes, bytes_of(tensor)),
                               tensor.numel(), tensor.scalar_type(), op, stream_);
    });
  }
  // Every rank reduces one slice, then all get all slices: as many bytes as in a ring.
  const std::int64_t width = tensor.element_size();
  const auto part_of = [&](int peer) {
    const Range slice = reduction_slice(tensor.numel(), size(), peer);
    return Part{bytes_of(tensor) + slice.first * width, slice.count() * width};
  };
  const Part own = part_of(rank());
  const at::Tensor staging = session_.device().make_bytes(own.bytes * size());
  return start("all_reduce", bytes, {tensor, staging}, [&] {
    reduce_own_part(part_of, staging, own.data, tensor.scalar_type(), op);
    // Slices differ in size by a grain, which NCCL's own gathering does not allow.
    together([&] {
      for (int root = 0; root < size(); ++root) {
        const Part part = part_of(root);
        broadcast(part.data, part.bytes, root);
      }
    });
  });
}

Work NcclCommunicator::do_all_gather(at::Tensor output, at::Tensor input) {
  const auto bytes = static_cast<std::int64_t>(input.nbytes());
  return start("all_gather", bytes * size(), {output, input},
               [&] { gather(bytes_of(output), bytes_of(input), bytes); });
}

Work NcclCommunicator::do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) {
  const auto bytes = static_cast<std::int64_t>(output.nbytes());
  const at::Tensor staging = session_.device().make_bytes(bytes * size());
  return start("reduce_scatter", bytes * size(), {output, input, staging}, [&] {
    reduce_own_part(
        [&](int peer) {
          return Part{bytes_of(input) + peer * bytes, bytes};
        },
        staging, bytes_of(output), output.scalar_type(), op);
  });
}

Work NcclCommunicator::do_all_to_all(at::Tensor output, at::Tensor input,
                                     std::span<const std::int64_t> output_rows,
                                     std::span<const std::int64_t> input_rows) {
  const std::int64_t row_bytes =
      c10::multiply_integers(input.sizes().slice(1)) * input.element_size();
  return start("all_to_all", static_cast<std::int64_t>(input.nbytes()), {output, input}, [&] {
    std::byte* to = bytes_of(output);
    const std::byte* from = bytes_of(input);
    together([&] {
      for (int peer = 0; peer < size(); ++peer) {
        const std::int64_t to_bytes = output_rows[peer] * row_bytes;
        const std::int64_t from_bytes = input_rows[peer] * row_bytes;
        if (peer == rank()) {
          copy(to, from, from_bytes);
        } else {
          if (from_bytes > 0) send(from, from_bytes, peer);
          if (to_bytes > 0) receive(to, to_bytes, peer);
        }
        to += to_bytes;
        from += from_bytes;
      }
    });
  });
}

Work NcclCommunicator::do_broadcast(at::Tensor tensor, int root) {
  const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
  return start("broadcast", bytes, {tensor}, [&] {
    broadcast(bytes_of(tensor), bytes, root);
    session_.settle(comm_, name());
  });
}

Work NcclCommunicator::do_exchange(std::span<const Transfer> sends,
                                   std::span<const Transfer> receives) {
  std::vector<at::Tensor> tensors;
  std::int64_t bytes = 0;
  for (const std::span<const Transfer> side : {sends, receives}) {
    for (const Transfer& transfer : side) {
      tensors.push_back(transfer.tensor);
      bytes += static_cast<std::int64_t>(transfer.tensor.nbytes());
    }
  }
  return start("exchange", bytes, std::move(tensors), [&] {
    together([&] {
      for (const auto& [tensor, peer] : sends) {
        if (tensor.nbytes() > 0) send(bytes_of(tensor), tensor.nbytes(), peer);
      }
      for (const auto& [tensor, peer] : receives) {
        if (tensor.nbytes() > 0) receive(bytes_of(tensor), tensor.nbytes(), peer);
      }
    });
  });
}

void NcclCommunicator::talk(Peers peers) {
  const at::Tensor bytes = session_.device().make_bytes(2 * size());
  const auto is_peer = [&](int other) {
    const int apart = std::abs(other - rank());
    return apart != 0 && (peers == Peers::kAll || apart == 1 || apart == size() - 1);
  };
  start("talk", size(), {bytes}, [&] {
    together([&] {
      for (int peer = 0; peer < size(); ++peer) {
        if (!is_peer(peer)) continue;
        send(bytes_of(bytes) + rank(), 1, peer);
        receive(bytes_of(bytes) + size() + peer, 1, peer);
      }
    });
  }).wait();
}

void NcclCommunicator::do_barrier() {
  const at::Tensor staging = session_.device().make_bytes(size());
  Work work = start("barrier", size(), {staging},
                    [&] { gather(bytes_of(staging), bytes_of(staging) + rank(), 1); });
  while (!work.test()) std::this_thread::yield();  // Ends by an error when it is overdue.
  work.wait();
}

}  // namespace cloze
