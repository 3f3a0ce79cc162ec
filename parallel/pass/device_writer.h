// Brings bytes of the host to a device on a stream of its own: they travel while the device
// computes, and what is queued for it afterwards waits for them there. The host waits for nothing.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstdint>

namespace cloze {

class DeviceWriter {
 public:
  // `device` is not the CPU.
  explicit DeviceWriter(at::Device device);

  // Pinned memory of the host [bytes] to fill and to give to one of the calls below. LibTorch keeps
  // it until the copies from it are done, and gives it out again afterwards.
  static at::Tensor staging(std::int64_t bytes);

  // New memory of the device with the bytes of `host`. It may be let go like any other.
  at::Tensor bring(const at::Tensor& host) const;
  // Overwrites `out`, memory of the device, after what the caller has queued for it.
  void write(const at::Tensor& host, const at::Tensor& out) const;

 private:
  const c10::Stream stream_;
};

}  // namespace cloze
