#include "parallel/comm/thrown_error.h"

#include <c10/util/Exception.h>

#include <array>
#include <string>
#include <string_view>

#include "parallel/device/cuda_error.h"

namespace cloze {
namespace {

// What cuBLAS says, and CUDA's error of the same meaning.
struct ProductError {
  std::string_view status;
  int error;
};
constexpr std::array<ProductError, 3> kProductErrors = {{
    {"CUBLAS_STATUS_ALLOC_FAILED", kCudaMemoryAllocation},
    {"CUBLAS_STATUS_EXECUTION_FAILED", kCudaLaunchFailure},
    {"CUBLAS_STATUS_INTERNAL_ERROR", kCudaLaunchFailure},
}};

}  // namespace

Error error_of(const std::exception& thrown) {
  if (const auto* const own = dynamic_cast<const Error*>(&thrown)) return *own;
  const auto* const torch = dynamic_cast<const c10::Error*>(&thrown);
  const std::string what = torch == nullptr ? thrown.what() : torch->what_without_backtrace();
  const auto as_of = [&](int error) {
    return Error(code_of_cuda_error(error), what, fix_of_cuda_error(error));
  };
  if (dynamic_cast<const c10::OutOfMemoryError*>(&thrown) != nullptr) {
    return as_of(kCudaMemoryAllocation);
  }
  if (const auto* device = dynamic_cast<const c10::AcceleratorError*>(&thrown)) {
    return as_of(device->get_error_code());
  }
  for (const auto& [status, error] : kProductErrors) {
    if (torch != nullptr && torch->msg().find(status) != std::string::npos) return as_of(error);
  }
  return {ExitCode::kInternal, what, "report this with the command that made it"};
}

}  // namespace cloze
