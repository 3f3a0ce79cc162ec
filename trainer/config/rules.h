// What must hold between keys, and between the layout and the number of ranks. All violated
// rules are listed at once, each with the nearest choice that is valid.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/mesh.h"
#include "trainer/config/load.h"

namespace cloze {

// Rules about `broken` keys are passed over. Without a number of ranks, data parallelism counts
// as 1.
std::vector<Problem> check_rules(const LoadedConfig& config, std::optional<int> world_size,
                                 const std::set<std::string>& broken);

// The layout that a run has on `world_size` ranks: data = world / the other axes.
// The rules must hold.
Degrees degrees_of(const config::Parallel& parallel, int world_size);

// "10" or "2%" of `total` steps; a share is rounded up, so that a small one is not 0.
std::int64_t steps_of(const std::string& steps_or_share, std::int64_t total);

}  // namespace cloze
