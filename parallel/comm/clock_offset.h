// How far this rank's clock is from rank 0's.
#pragma once

#include <cstdint>
#include <functional>

#include "parallel/comm/communicator.h"
#include "parallel/trace/clock_alignment.h"
#include "parallel/trace/trace.h"

namespace cloze {

// Every rank of `world` calls it. Each in turn asks rank 0 for its time, often, and keeps the
// answer that came back soonest. `now` is this rank's clock, in nanoseconds.
ClockReading read_clock_offset(Communicator& world,
                               const std::function<std::int64_t()>& now = Trace::now);

// Every rank of `world` calls it, with what it has read. Ranks of the same `clock`, such as those
// of one host (host_clock_id()), take the most certain of their readings, so that among them no
// event moves; those of rank 0's clock are exact. A rank of clock 0 keeps its own.
ClockReading share_clock(Communicator& world, const ClockReading& reading, std::uint64_t clock);

}  // namespace cloze
