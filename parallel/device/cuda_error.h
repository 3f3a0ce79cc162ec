// What an error of CUDA means for a run: with which exit code it ends, so that `cloze launch`
// starts it again or not, and what to do about it.
#pragma once

#include <algorithm>
#include <array>

#include "parallel/base/check.h"

namespace cloze {

// Numbers of cudaError_t, without CUDA's headers. What is wrong with a launch itself:
constexpr std::array<int, 3> kCudaLaunchErrors = {
    1,    // cudaErrorInvalidValue
    9,    // cudaErrorInvalidConfiguration
    701,  // cudaErrorLaunchOutOfResources
};
// A library has no kernels for this kind of GPU, or the driver compiles none for it.
constexpr std::array<int, 6> kCudaKernelErrors = {
    98,   // cudaErrorInvalidDeviceFunction
    209,  // cudaErrorNoKernelImageForDevice
    218,  // cudaErrorInvalidPtx
    221,  // cudaErrorJitCompilerNotFound
    222,  // cudaErrorUnsupportedPtxVersion
    223,  // cudaErrorJitCompilationDisabled
};
// No driver or no GPU to speak of, which a restart would not change.
constexpr std::array<int, 5> kCudaSetupErrors = {
    34,   // cudaErrorStubLibrary
    35,   // cudaErrorInsufficientDriver
    100,  // cudaErrorNoDevice
    803,  // cudaErrorSystemDriverMismatch
    804,  // cudaErrorCompatNotSupportedOnDevice
};
constexpr int kCudaMemoryAllocation = 2;
constexpr int kCudaLaunchFailure = 719;

constexpr bool is_among(const auto& errors, int error) {
  return std::ranges::find(errors, error) != errors.end();
}

// kInternal: a bug of ours, which every restart meets again. kUsage: the wrong build or machine, or
// a job that is too large for the GPU. All else is kTransient: a lost GPU, memory that fails.
constexpr ExitCode code_of_cuda_error(int error) {
  if (is_among(kCudaLaunchErrors, error)) return ExitCode::kInternal;
  const bool is_usage = error == kCudaMemoryAllocation || is_among(kCudaKernelErrors, error) ||
                        is_among(kCudaSetupErrors, error);
  return is_usage ? ExitCode::kUsage : ExitCode::kTransient;
}

constexpr const char* fix_of_cuda_error(int error) {
  if (is_among(kCudaLaunchErrors, error)) return "report this with the sizes of the call";
  if (is_among(kCudaKernelErrors, error)) {
    return "build with this GPU's compute capability in CLOZE_CUDA_ARCHITECTURES; LibTorch and the "
           "driver must know this kind of GPU, too";
  }
  if (is_among(kCudaSetupErrors, error)) {
    return "run where nvidia-smi lists a GPU, or train with --device cpu";
  }
  if (error == kCudaMemoryAllocation) {
    return "lower batch.micro_size, recompute more (parallel.recompute), or use more ranks";
  }
  return "start again from the last checkpoint; if it comes back, look at the GPU with nvidia-smi "
         "and dmesg";
}

}  // namespace cloze
