// The lines a run begins with: on what it runs, what is trained, on which layout, how much memory
// it takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/loop/checkpointing.h"
#include "trainer/loop/compute_device.h"
#include "trainer/loop/training_state.h"
#include "trainer/plan/memory_plan.h"

namespace cloze {

// Elements of the whole model, each counted once. All ranks call it.
std::int64_t num_parameters(TrainingState& state);

// All ranks call it. `plan`: this rank's.
std::vector<std::string> header_lines(TrainingState& state, const Progress& progress,
                                      const MemoryPlan& plan, const ComputeDevice& device = {});
// The same, where the plan is of more memory than the device has; empty where it is not.
std::string memory_warning(Communicator& world, const MemoryPlan& plan,
                           const ComputeDevice& device);

}  // namespace cloze
