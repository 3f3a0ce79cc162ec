// Where the parts of a vendor's GPUs come from. All are opened by name when a run asks for them;
// what they offer are the tables CudaRuntime, NcclLibrary and Kernels, and a device of LibTorch's.
// Another vendor is a file that fills its CudaRuntime, and a row of gpu_vendors():
// docs/backends.md.
#pragma once

#include <c10/core/DeviceType.h>

#include <span>
#include <string>
#include <string_view>

#include "parallel/device/cuda_runtime.h"

namespace cloze {

struct GpuVendor {
  std::string device;          // What --device says: "cuda".
  c10::DeviceType torch_type;  // What LibTorch calls it.
  std::string torch_library;   // LibTorch's half for it: "libtorch_cuda.so".
  std::string kernel_library;  // Ours: "libcloze_cuda.so".
  std::string collectives;     // With NCCL's functions: "libnccl.so.2".
  CudaRuntime (*open_runtime)();
  // The first compute capability that the kernels have code for: 80 is 8.0. 0: nobody asks.
  int oldest_capability = 0;
};

std::span<const GpuVendor> gpu_vendors();

// Null for "cpu". Throws Error kUsage for a device that nobody makes.
const GpuVendor* gpu_vendor_of(std::string_view device);

}  // namespace cloze
