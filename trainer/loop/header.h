// The lines a run begins with: on what it runs, what is trained, on which layout, how much memory
// it takes.
#pragma once

#include <string>
#include <vector>

#include "trainer/loop/checkpointing.h"
#include "trainer/loop/training_state.h"

namespace cloze {

// All ranks call it.
std::vector<std::string> header_lines(TrainingState& state, const Progress& progress);

}  // namespace cloze
