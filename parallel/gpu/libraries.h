// The two libraries that a vendor's GPUs compute with, opened by name: LibTorch's half for them and
// our kernels.
#pragma once

#include <string>

#include "parallel/device/shared_library.h"
#include "parallel/gpu/vendor.h"

namespace cloze {

// Makes LibTorch's operators of these GPUs known, nothing more. Throws Error kUsage where it does
// not open.
SharedLibrary open_torch_library(const GpuVendor& vendor);

// Throws Error kUsage where it does not open or is of another build than this program.
SharedLibrary open_kernel_library(const GpuVendor& vendor);

// Throws Error kUsage when the kernels have no code for GPU `index`, whose name is `name`.
void check_capability(const GpuVendor& vendor, const CudaRuntime& cuda, int index,
                      const std::string& name);

// "9.0": the compute capability of GPU `index`.
std::string capability_text(const CudaRuntime& cuda, int index);

}  // namespace cloze
