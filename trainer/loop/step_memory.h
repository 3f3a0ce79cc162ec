// The memory plan of a run that is about to train.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/loop/training_state.h"
#include "trainer/plan/memory_plan.h"

namespace cloze {

// This rank's, of any step; with a batch ramp, of those behind it.
MemoryPlan plan_of(TrainingState& state);

// "parameters 14.0 MB, ...; at most 96.4 MB", each of the rank that has most of it. All ranks call
// it. `device_bytes`: what a rank's device has; 0 where that is not known.
std::string memory_text(Communicator& world, const MemoryPlan& plan, std::int64_t device_bytes);

}  // namespace cloze
