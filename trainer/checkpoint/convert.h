// Changes the element type of a buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "parallel/base/dtype.h"

namespace cloze {

constexpr bool is_floating(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kBF16 ||
         dtype == DType::kF16;
}

// Writes `count` elements of floating type `from` as floating type `to`, rounded to nearest even.
void convert(const std::byte* source, DType from, std::byte* target, DType to, std::int64_t count);

}  // namespace cloze
