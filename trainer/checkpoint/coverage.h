// The proof that boxes tile a tensor: every element lies in exactly one.
#pragma once

#include <span>
#include <string>

#include "parallel/mesh/shard.h"

namespace cloze {

// Nothing (an empty text) when the boxes, all of the same global shape, hold each of its elements
// exactly once; else what is wrong. Linear in the number of boxes but for a sort.
std::string coverage_problem(std::span<const Box> boxes);

}  // namespace cloze
