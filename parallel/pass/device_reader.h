// Reads memory of a device in pieces, in order: the next piece is on its way to the host, on a
// stream of its own, while the caller does something with the last one.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cloze {

class DeviceReader {
 public:
  // Two pinned buffers of `chunk` bytes. `device` is not the CPU.
  DeviceReader(at::Device device, std::int64_t chunk);

  // Fills `out`, at most a chunk, with the bytes of `tensor` [bytes], of the device, from `first`
  // on, as they are when all that was queued before the tensor's first read is done. Reads of a
  // tensor follow each other without gaps.
  void read(const at::Tensor& tensor, std::int64_t first, std::span<std::byte> out);

 private:
  struct Buffer {
    at::Tensor memory;
    c10::Event arrived;
  };
  void fetch(const at::Tensor& tensor, std::int64_t first);

  const std::int64_t chunk_;
  const c10::Stream stream_;
  std::array<Buffer, 2> buffers_;
  std::size_t next_ = 0;        // The buffer that the next fetch fills.
  at::Tensor tensor_;           // That is being read.
  std::int64_t expected_ = -1;  // Where its next read begins.
};

}  // namespace cloze
