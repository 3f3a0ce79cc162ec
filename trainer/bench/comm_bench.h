// How fast the collectives of a layout are, group by group.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "parallel/comm/groups.h"

namespace cloze {

struct CommBenchOptions {
  int rounds = 10;  // That are timed, of each call and size.
  std::int64_t largest_bytes = std::int64_t{32} << 20;
};

// One call of one size over one group.
struct CommFigure {
  std::string group;       // "tensor", "data", "pipeline", "world".
  int ranks = 0;           // Of the group.
  std::string operation;   // "all_reduce", "all_gather", ...
  std::int64_t bytes = 0;  // The larger of what goes in and what comes out, on a rank.
  double seconds = 0;      // Median over the rounds of the slowest rank.

  // Bytes a second that a link must carry, as nccl-tests define "busbw": comparable over
  // operations and group sizes.
  double bus_bytes_per_second() const;
};

// Of each axis with more than one rank, and of all ranks: sizes from 1 KiB up, times 8. All ranks
// run it together. Groups of one axis run at once, as they do in training.
std::vector<CommFigure> bench_comm(const Groups& groups, const CommBenchOptions& options);

nlohmann::ordered_json json_of(const std::vector<CommFigure>& figures);
std::vector<std::string> lines_of(const std::vector<CommFigure>& figures);

}  // namespace cloze
