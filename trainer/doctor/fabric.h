// What was measured between ranks, as values, and what it means.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// Of two ranks that stand beside each other.
struct PairTimes {
  int first = 0;
  int second = 0;
  double latency_seconds = 0;   // One way, of a message of 8 bytes: half of a median round trip.
  double bytes_per_second = 0;  // One way, of large messages.
};

// From the seconds that a message of 8 bytes, and one of `large_bytes`, take there and back.
PairTimes pair_times(int first, int second, double small_round_trip, double large_round_trip,
                     std::int64_t large_bytes);

// How far a rank's clock is ahead of rank 0's, and how wrong this may be.
struct ClockOffset {
  double seconds = 0;
  double uncertainty = 0;
};

struct FabricTimes {
  std::vector<std::string> hosts{};  // By rank; two at least.
  std::vector<PairTimes> pairs{};
  std::int64_t all_reduce_bytes = 0;
  std::vector<double> all_reduce_seconds{};  // Each the slowest rank's; not empty.
  std::vector<ClockOffset> clocks{};         // By rank, against rank 0.
};

// fabric.hosts, fabric.latency, fabric.bandwidth, fabric.all_reduce, fabric.deadline and
// clock.skew. `deadline_seconds` is training's default.
std::vector<CheckResult> check_fabric(const FabricTimes& times, std::int64_t deadline_seconds);

// The same names for a process that is alone; they say how it is measured.
std::vector<CheckResult> skip_fabric();

}  // namespace cloze
