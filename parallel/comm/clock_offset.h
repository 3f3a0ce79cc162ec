// How far this rank's clock is from rank 0's.
#pragma once

#include "parallel/comm/communicator.h"
#include "parallel/trace/clock_alignment.h"

namespace cloze {

// Every rank of `world` calls it. Each in turn asks rank 0 for its time, often, and keeps the
// answer that came back soonest: rank 0 looked at its clock between question and answer, so half
// of that time is all that the offset can be off (Cristian, 1989).
ClockReading read_clock_offset(Communicator& world);

}  // namespace cloze
