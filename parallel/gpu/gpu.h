// The GPU that a rank computes on: its vendor's runtime, LibTorch's half for it and our kernels,
// all opened when a run asks for one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "parallel/device/cuda_runtime.h"
#include "parallel/device/shared_library.h"
#include "parallel/gpu/vendor.h"
#include "parallel/kernels/kernels.h"

namespace cloze {

// One per process, made before anything else asks LibTorch about GPUs (its description of itself
// does): LibTorch looks for its halves once.
class Gpu {
 public:
  // Chooses GPU `place` modulo how many this process sees, for the whole process. Throws Error
  // kUsage, naming what is missing: a GPU that the kernels run on, a driver, a library, or one of
  // another build. `vendor` outlives it.
  Gpu(const GpuVendor& vendor, int place);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const GpuVendor& vendor() const { return vendor_; }
  at::Device device() const { return device_; }
  const std::string& name() const { return name_; }  // "NVIDIA H100 80GB HBM3".
  const CudaUuid& uuid() const { return uuid_; }
  const CudaRuntime& cuda() const { return cuda_; }
  const Kernels& kernels() const { return kernels_; }
  std::filesystem::path kernel_file() const { return kernel_library_.file(); }
  std::int64_t memory_bytes() const;       // All that it has.
  std::int64_t peak_tensor_bytes() const;  // That LibTorch's allocator has had in use at a time.

 private:
  const GpuVendor& vendor_;
  const CudaRuntime cuda_;
  const at::Device device_;
  const SharedLibrary kernel_library_;
  const Kernels kernels_;
  const std::string name_;
  CudaUuid uuid_{};
};

// The stream of the GPU that the calling thread computes on: LibTorch's, or a scope's.
CudaStream compute_stream();

// Kernels that the calling thread calls while it lives are queued on `stream`; LibTorch's are not.
class StreamScope {
 public:
  explicit StreamScope(CudaStream stream);
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;
  ~StreamScope();

 private:
  const bool was_set_;
  const CudaStream before_;
};

}  // namespace cloze
