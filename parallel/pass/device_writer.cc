#include "parallel/pass/device_writer.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>

#include "parallel/pass/device_stream.h"

namespace cloze {
DeviceWriter::DeviceWriter(at::Device device) : stream_(new_stream(device)) {}

at::Tensor DeviceWriter::staging(std::int64_t bytes) {
  return at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
}

at::Tensor DeviceWriter::bring(const at::Tensor& host) const {
  at::Tensor copy;
  {
    const c10::StreamGuard guard(stream_);
    copy = host.to(stream_.device(), /*non_blocking=*/true, /*copy=*/true);
  }
  const c10::Stream computing = current_stream(stream_.device());
  follow(stream_, computing);
  // It is of the copies' stream: without this its memory could be written by the next copy while
  // the computing stream, which is behind, still reads it.
  copy.record_stream(computing);
  return copy;
}

void DeviceWriter::write(const at::Tensor& host, const at::Tensor& out) const {
  const c10::Stream computing = current_stream(stream_.device());
  follow(computing, stream_);
  {
    const c10::StreamGuard guard(stream_);
    out.copy_(host, /*non_blocking=*/true);
  }
  follow(stream_, computing);
}

}  // namespace cloze
