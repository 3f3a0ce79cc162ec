// The ranks of a run as a picture: stages downwards, replicas across, the tensor ranks of a stage
// side by side; and in words, who shares what.
#pragma once

#include <string>
#include <vector>

#include "parallel/mesh/mesh.h"
#include "parallel/mesh/shard.h"

namespace cloze {

// `stages`: the layers of each pipeline stage; empty where they are not known. A layout of many
// ranks is drawn by its first and last ones.
std::string layout_html(const Degrees& degrees, const std::vector<Range>& stages);

// Of 0 .. count - 1 those that are drawn, -1 for what is left out in between: all when they are
// at most `limit`, which is at least 3.
std::vector<int> shown_of(int count, int limit);

}  // namespace cloze
