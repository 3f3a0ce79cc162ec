// From LibTorch's run-time element types to the kernels' compile-time ones: chosen once a call.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/dtype.h"

namespace cloze {

// The type that sums, statistics, gradients and moments of compute type `dtype` have.
inline at::ScalarType accumulator_of(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

inline DType dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return DType::kF64;
    case at::kFloat:
      return DType::kF32;
    case at::kBFloat16:
      return DType::kBF16;
    case at::kHalf:
      return DType::kF16;
    case at::kLong:
      return DType::kI64;
    case at::kInt:
      return DType::kI32;
    case at::kByte:
      return DType::kU8;
    default:
      fail(ExitCode::kInternal, str("no kernel takes ", type), "convert the tensor first");
  }
}

// Calls body.template operator()<T>() with the storage type of a floating tensor.
template <typename Body>
decltype(auto) with_type(at::ScalarType type, Body&& body) {
  switch (type) {
    case at::kDouble:
      return body.template operator()<double>();
    case at::kFloat:
      return body.template operator()<float>();
    case at::kBFloat16:
      return body.template operator()<BFloat16>();
    case at::kHalf:
      return body.template operator()<Float16>();
    default:
      fail(ExitCode::kInternal, str("no kernel takes ", type), "use a floating type");
  }
}

// The elements of a contiguous tensor; null for an undefined one.
template <typename T>
T* data_of(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

}  // namespace cloze
