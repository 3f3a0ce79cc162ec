// Which random bits keep an element.
#pragma once

#include <cmath>
#include <cstdint>

#include "parallel/base/check.h"

namespace cloze {

// An element is kept when its bits are above the limit: the whole-number form of
// bits * 2^-32 >= p for 0 < p < 1.
inline std::uint32_t dropout_limit(double p) {
  CLOZE_CHECK(p > 0.0 && p < 1.0, str("dropout ", p, " is not between 0 and 1"),
              "choose a dropout probability of at least 0 and below 1");
  return static_cast<std::uint32_t>(std::ceil(p * 0x1p32) - 1.0);
}

}  // namespace cloze
