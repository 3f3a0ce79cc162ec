// Puts the times of one rank's clock on that of rank 0.
#pragma once

#include <cstdint>
#include <span>

namespace cloze {

// At `time` of this rank's clock, rank 0's shows time + offset, at most `uncertainty` off.
struct ClockReading {
  std::int64_t time = 0;  // Nanoseconds, all three.
  std::int64_t offset = 0;
  std::int64_t uncertainty = 0;
  bool operator==(const ClockReading&) const = default;
};

// One exchange of clock readings: sent and received here, read there in between. Nanoseconds.
struct ClockSample {
  std::int64_t sent = 0;
  std::int64_t there = 0;
  std::int64_t received = 0;
};

// Of the sample, of one at least, that was under way the shortest time. The other clock was read
// between sending and receiving, so half of that time is all that the offset can be off (Cristian,
// "Probabilistic clock synchronization", 1989).
ClockReading reading_of(std::span<const ClockSample> samples);

class ClockAlignment {
 public:
  ClockAlignment() = default;  // Rank 0's own.

  // From readings at the two ends of a stretch of time. Where one constant offset agrees with
  // both, that is it, and no duration is stretched; else the clocks drift apart, and the offset
  // goes in a line from the one to the other.
  ClockAlignment(const ClockReading& before, const ClockReading& after);

  std::int64_t aligned(std::int64_t time) const;
  std::int64_t offset() const { return offset_; }            // At the first end.
  std::int64_t drift() const { return drift_; }              // From there to the second.
  std::int64_t uncertainty() const { return uncertainty_; }  // Of an aligned time.

 private:
  std::int64_t begin_ = 0;
  std::int64_t length_ = 1;
  std::int64_t offset_ = 0;
  std::int64_t drift_ = 0;
  std::int64_t uncertainty_ = 0;
};

}  // namespace cloze
