// Cuts a model's layers into pipeline stages.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/shard.h"

namespace cloze {

// Multiplications of the parts of a model for one token, on average over the rows of the objective.
struct LayerCosts {
  double layer;
  double embedding;  // On the first stage.
  double head;       // On the last.
};

// Elements of a block's matrices: the multiplications of a token that do not depend on what it
// sees.
double block_elements(const config::Model& model);

LayerCosts layer_costs(const config::Run& run);

// The cut that makes the most loaded stage lightest; each stage has at least one layer, and of
// equal cuts the one that gives the earlier stages more.
std::vector<Range> cut_by_cost(std::int64_t num_layers, int num_stages, const LayerCosts& costs);

// `stage_layers` where given, else the cut by cost.
std::vector<Range> cut_stages(const config::Run& run);

}  // namespace cloze
