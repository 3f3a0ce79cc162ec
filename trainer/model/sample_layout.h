// A batch's intervals of attention as samples, for kernels that know samples and no intervals.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/batch.h"

namespace cloze {

// What AttentionSamples points to, on the host. Padding, which sees nothing and which nothing sees,
// is a sample of its own.
struct SampleLayout {
  std::vector<std::int32_t> offsets = {};
  std::vector<std::int32_t> prefix_offsets = {};
  std::vector<std::int32_t> prefix_places = {};
  std::vector<std::int32_t> suffix_offsets = {};
  std::vector<std::int32_t> suffix_places = {};
};

// Nothing when some interval is of another kind, or when a sample has no suffix.
std::optional<SampleLayout> sample_layout(const Batch& batch);

}  // namespace cloze
