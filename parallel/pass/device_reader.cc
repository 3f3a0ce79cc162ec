#include "parallel/pass/device_reader.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>

#include <algorithm>
#include <cstring>

#include "parallel/base/check.h"
#include "parallel/pass/device_stream.h"
#include "parallel/pass/device_writer.h"

namespace cloze {

DeviceReader::DeviceReader(at::Device device, std::int64_t chunk)
    : chunk_(chunk),
      stream_(new_stream(device)),
      buffers_{{{DeviceWriter::staging(chunk), c10::Event(device.type())},
                {DeviceWriter::staging(chunk), c10::Event(device.type())}}} {}

void DeviceReader::fetch(const at::Tensor& tensor, std::int64_t first) {
  Buffer& buffer = buffers_[next_];
  const std::int64_t bytes = std::min(chunk_, tensor.numel() - first);
  const c10::StreamGuard guard(stream_);
  buffer.memory.narrow(0, 0, bytes).copy_(tensor.narrow(0, first, bytes), /*non_blocking=*/true);
  buffer.arrived.record(stream_);
  next_ = 1 - next_;
}

void DeviceReader::read(const at::Tensor& tensor, std::int64_t first, std::span<std::byte> out) {
  const auto bytes = static_cast<std::int64_t>(out.size());
  CLOZE_CHECK(bytes <= chunk_ && first + bytes <= tensor.numel(),
              str("a read of ", bytes, " bytes from ", first, " of ", tensor.numel(),
                  " in chunks of ", chunk_),
              "read no more than a chunk");
  if (first != expected_ || !tensor_.is_same(tensor)) {
    // What computes the tensor is queued on the current stream.
    follow(current_stream(stream_.device()), stream_);
    fetch(tensor, first);
  }
  const Buffer& buffer = buffers_[1 - next_];  // The one that was fetched last.
  tensor_ = tensor;
  expected_ = first + bytes;
  const bool is_last = expected_ == tensor.numel();
  if (!is_last) fetch(tensor, expected_);  // Into the other one, which nobody reads any more.
  buffer.arrived.synchronize();
  std::memcpy(out.data(), buffer.memory.const_data_ptr(), out.size());
  if (is_last) tensor_.reset();
}

}  // namespace cloze
