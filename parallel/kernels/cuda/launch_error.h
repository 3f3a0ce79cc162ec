// What CUDA's answer to a kernel's launch means. Errors of earlier kernels and of the GPU itself
// come to light there too.
#pragma once

#include <string>

#include "parallel/base/check.h"

namespace cloze::cuda {

// Numbers of cudaError_t, for tests without CUDA's headers: what is wrong with a launch itself.
constexpr int kInvalidValue = 1;
constexpr int kInvalidConfiguration = 9;
constexpr int kLaunchOutOfResources = 701;
// No memory left for what a kernel needs beside its tensors.
constexpr int kMemoryAllocation = 2;
// And where a library has no kernels for this kind of GPU, or the driver compiles none for it.
constexpr int kInvalidDeviceFunction = 98;
constexpr int kNoKernelImageForDevice = 209;
constexpr int kInvalidPtx = 218;
constexpr int kJitCompilerNotFound = 221;
constexpr int kUnsupportedPtxVersion = 222;
constexpr int kJitCompilationDisabled = 223;

// kInternal: a bug of ours, which every restart meets again. kUsage: the wrong build, or a job that
// is too large for the GPU. All else is kTransient: a lost GPU, memory that fails. As LibTorch's
// errors of the same causes.
constexpr ExitCode code_of_launch(int error) {
  switch (error) {
    case kInvalidValue:
    case kInvalidConfiguration:
    case kLaunchOutOfResources:
      return ExitCode::kInternal;
    case kMemoryAllocation:
    case kInvalidDeviceFunction:
    case kNoKernelImageForDevice:
    case kInvalidPtx:
    case kJitCompilerNotFound:
    case kUnsupportedPtxVersion:
    case kJitCompilationDisabled:
      return ExitCode::kUsage;
    default:
      return ExitCode::kTransient;
  }
}

// Of a failure that is not kInternal.
constexpr const char* fix_of_launch(int error) {
  if (error == kMemoryAllocation) {
    return "lower batch.micro_size, recompute more (parallel.recompute), or use more ranks";
  }
  return code_of_launch(error) == ExitCode::kUsage
             ? "build with this GPU's compute capability in CLOZE_CUDA_ARCHITECTURES"
             : "start again from the last checkpoint; if it comes back, look at the GPU with "
               "nvidia-smi and dmesg";
}

// Throws what a cudaError_t other than 0 means. `call`: what was asked; `says`: CUDA's words; file
// and line: of the call.
[[noreturn]] inline void fail_launch(int error, const std::string& call, const char* says,
                                     const char* file, int line) {
  const std::string what = str(call, ": CUDA says '", says, "' (", error, ")");
  const ExitCode code = code_of_launch(error);
  if (code == ExitCode::kInternal) {
    fail_check(file, line, what, "report this with the sizes of the call");
  }
  fail(code, what, fix_of_launch(error));
}

}  // namespace cloze::cuda
