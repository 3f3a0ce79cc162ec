#include "parallel/pass/device_writer.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace cloze {
namespace {

// `later` goes on when all that is queued on `earlier` is done.
void follow(const c10::Stream& earlier, const c10::Stream& later) {
  c10::Event done(earlier.device_type());
  done.record(earlier);
  done.block(later);
}

}  // namespace

DeviceWriter::DeviceWriter(at::Device device)
    : stream_(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)) {}

at::Tensor DeviceWriter::staging(std::int64_t bytes) {
  return at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
}

c10::Stream DeviceWriter::current() const {
  return c10::impl::VirtualGuardImpl(stream_.device_type()).getStream(stream_.device());
}

at::Tensor DeviceWriter::bring(const at::Tensor& host) const {
  at::Tensor copy;
  {
    const c10::StreamGuard guard(stream_);
    copy = host.to(stream_.device(), /*non_blocking=*/true, /*copy=*/true);
  }
  const c10::Stream computing = current();
  follow(stream_, computing);
  // It is of the copies' stream: without this its memory could be written by the next copy while
  // the computing stream, which is behind, still reads it.
  copy.record_stream(computing);
  return copy;
}

void DeviceWriter::write(const at::Tensor& host, const at::Tensor& out) const {
  const c10::Stream computing = current();
  follow(computing, stream_);
  {
    const c10::StreamGuard guard(stream_);
    out.copy_(host, /*non_blocking=*/true);
  }
  follow(stream_, computing);
}

}  // namespace cloze
