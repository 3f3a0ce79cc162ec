// What CUDA's answer to a kernel's launch means. Errors of earlier kernels and of the GPU itself
// come to light there too.
#pragma once

#include <string>

#include "parallel/base/check.h"
#include "parallel/device/cuda_error.h"

namespace cloze::cuda {

// Throws what a cudaError_t other than 0 means. `call`: what was asked; `says`: CUDA's words; file
// and line: of the call.
[[noreturn]] inline void fail_launch(int error, const std::string& call, const char* says,
                                     const char* file, int line) {
  const std::string what = str(call, ": CUDA says '", says, "' (", error, ")");
  const ExitCode code = code_of_cuda_error(error);
  const char* const fix = fix_of_cuda_error(error);
  if (code == ExitCode::kInternal) fail_check(file, line, what, fix);
  fail(code, what, fix);
}

}  // namespace cloze::cuda
