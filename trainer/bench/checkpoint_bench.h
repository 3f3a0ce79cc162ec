// How fast a run is saved and loaded: its real tensors, to where its checkpoints would go.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "trainer/loop/training_state.h"

namespace cloze {

struct CheckpointFigures {
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;            // Of the checkpoint.
  std::vector<double> save_seconds;  // Until it is committed and durable; the slowest rank's.
  std::vector<double> load_seconds;  // Every digest compared; from the page cache.
  double write_seconds = 0;          // Of as many bytes with one fsync, by rank 0: the device.

  double save_bytes_per_second() const;  // Median.
  double load_bytes_per_second() const;  // Median.
};

// All ranks run it together. Saves into a folder of its own beside checkpoint.directory, which is
// gone when it returns or throws. Throws Error as saving does.
CheckpointFigures bench_checkpoint(TrainingState& state, int rounds);

nlohmann::ordered_json json_of(const CheckpointFigures& figures);
std::vector<std::string> lines_of(const CheckpointFigures& figures);

}  // namespace cloze
