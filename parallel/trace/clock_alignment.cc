#include "parallel/trace/clock_alignment.h"

#include <algorithm>
#include <cmath>

#include "parallel/base/check.h"

namespace cloze {

ClockReading reading_of(std::span<const ClockSample> samples) {
  CLOZE_CHECK(!samples.empty(), "no clock was read", "give one sample at least");
  const ClockSample& best = *std::ranges::min_element(
      samples, {}, [](const ClockSample& sample) { return sample.received - sample.sent; });
  const std::int64_t way = best.received - best.sent;
  const std::int64_t middle = best.sent + way / 2;
  return {.time = middle, .offset = best.there - middle, .uncertainty = (way + 1) / 2};
}

ClockAlignment::ClockAlignment(const ClockReading& before, const ClockReading& after)
    : begin_(before.time), length_(after.time - before.time) {
  CLOZE_CHECK(length_ > 0, "a clock's second reading is not after its first",
              "read it at both ends of the recording");
  const std::int64_t least =
      std::max(before.offset - before.uncertainty, after.offset - after.uncertainty);
  const std::int64_t most =
      std::min(before.offset + before.uncertainty, after.offset + after.uncertainty);
  if (least <= most) {
    offset_ = least + (most - least) / 2;
    uncertainty_ = (most - least + 1) / 2;
  } else {
    offset_ = before.offset;
    drift_ = after.offset - before.offset;
    uncertainty_ = std::max(before.uncertainty, after.uncertainty);
  }
}

std::int64_t ClockAlignment::aligned(std::int64_t time) const {
  if (drift_ == 0) return time + offset_;
  const double share = static_cast<double>(time - begin_) / static_cast<double>(length_);
  return time + offset_ + std::llround(static_cast<double>(drift_) * share);
}

}  // namespace cloze
