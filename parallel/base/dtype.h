// Element types of buffers and files, and the two 16-bit float storage types.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
// Of functions that run on the CPU and on the GPU.
#define CLOZE_HD __host__ __device__
#else
#define CLOZE_HD
#endif

#include "parallel/base/check.h"

namespace cloze {

enum class DType : std::uint8_t { kF64, kF32, kBF16, kF16, kI64, kI32, kU8 };

constexpr std::int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kU8:
      return 1;
  }
  return 0;
}

// The names of the safetensors format.
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return "F64";
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kI64:
      return "I64";
    case DType::kI32:
      return "I32";
    case DType::kU8:
      return "U8";
  }
  return "?";
}

// bfloat16: the upper half of a float. Rounds to nearest even; a NaN stays a NaN.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  CLOZE_HD explicit BFloat16(float value) {
#ifdef __CUDA_ARCH__
    bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));  // One instruction.
#else
    const auto raw = std::bit_cast<std::uint32_t>(value);
    if ((raw & 0x7fffffffU) > 0x7f800000U) {
      bits = static_cast<std::uint16_t>((raw >> 16) | 0x0040U);
      return;
    }
    bits = static_cast<std::uint16_t>((raw + 0x7fffU + ((raw >> 16) & 1U)) >> 16);
#endif
  }
  CLOZE_HD explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

// IEEE binary16. Rounds to nearest even; overflow becomes infinity.
struct Float16 {
  std::uint16_t bits = 0;

  Float16() = default;
#ifdef __CUDACC__  // CUDA's compiler does not know _Float16.
  CLOZE_HD explicit Float16(float value) : bits(__half_as_ushort(__float2half_rn(value))) {}
  CLOZE_HD explicit operator float() const { return __half2float(__ushort_as_half(bits)); }
#else
  explicit Float16(float value) {
    bits = std::bit_cast<std::uint16_t>(static_cast<_Float16>(value));
  }
  explicit operator float() const { return static_cast<float>(std::bit_cast<_Float16>(bits)); }
#endif
};

}  // namespace cloze
