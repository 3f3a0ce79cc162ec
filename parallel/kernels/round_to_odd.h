// Rounding a double to a 16-bit type once, by way of float.
#pragma once

#include <bit>
#include <cstdint>

namespace cloze {

// The float next to `value`, inexact results with the last bit set ("round to odd"): rounding it
// again to a 16-bit type then gives what one rounding would have given.
[[gnu::always_inline]] constexpr float to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const auto back = static_cast<double>(nearest);
  if (back == value || value != value) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if ((back > value) == (value > 0.0)) --bits;  // Towards zero: the magnitude had grown.
  return std::bit_cast<float>(bits | 1U);
}

}  // namespace cloze
