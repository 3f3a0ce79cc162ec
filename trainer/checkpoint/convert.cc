#include "trainer/checkpoint/convert.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// A double as the float that a second rounding, to 16 bits, cannot get wrong: rounded to odd.
// (The last bit is set whenever bits were lost, so no tie arises that was none.)
float narrow_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(value) || std::isinf(nearest) || static_cast<double>(nearest) == value) {
    return nearest;
  }
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if ((bits & 1U) != 0) return nearest;
  // The neighbour on the other side of `value`; its last bit is odd.
  const bool away = std::fabs(static_cast<double>(nearest)) < std::fabs(value);
  return std::bit_cast<float>(away ? bits + 1 : bits - 1);
}

template <typename From, typename To>
To convert_one(From value) {
  if constexpr (std::is_same_v<From, double> && !std::is_same_v<To, float>) {
    return static_cast<To>(narrow_to_odd(value));
  } else if constexpr (std::is_same_v<From, double>) {
    return static_cast<float>(value);
  } else {
    return static_cast<To>(static_cast<float>(value));  // A float holds every 16-bit value.
  }
}

template <typename From, typename To>
void convert_all(const std::byte* source, std::byte* target, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    From value;  // Copied: the buffers need not be aligned.
    std::memcpy(&value, source + i * static_cast<std::int64_t>(sizeof(From)), sizeof(From));
    const To result = convert_one<From, To>(value);
    std::memcpy(target + i * static_cast<std::int64_t>(sizeof(To)), &result, sizeof(To));
  }
}

template <typename From>
void convert_from(const std::byte* source, std::byte* target, DType to, std::int64_t count) {
  switch (to) {
    case DType::kF64:
      if constexpr (std::is_same_v<From, double>) {
        std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(double));
      } else {
        convert_all<From, double>(source, target, count);
      }
      return;
    case DType::kF32:
      return convert_all<From, float>(source, target, count);
    case DType::kBF16:
      return convert_all<From, BFloat16>(source, target, count);
    case DType::kF16:
      return convert_all<From, Float16>(source, target, count);
    default:
      CLOZE_CHECK(false, "conversion to an integer type", "convert between floating types");
  }
}

}  // namespace

void convert(const std::byte* source, DType from, std::byte* target, DType to, std::int64_t count) {
  if (from == to) {
    std::memcpy(target, source, static_cast<std::size_t>(count * size_of(from)));
    return;
  }
  switch (from) {
    case DType::kF64:
      return convert_from<double>(source, target, to, count);
    case DType::kF32:
      return convert_from<float>(source, target, to, count);
    case DType::kBF16:
      return convert_from<BFloat16>(source, target, to, count);
    case DType::kF16:
      return convert_from<Float16>(source, target, to, count);
    default:
      CLOZE_CHECK(false, "conversion from an integer type", "convert between floating types");
  }
}

}  // namespace cloze
