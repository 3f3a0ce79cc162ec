#include "trainer/model/sample_layout.h"

#include <algorithm>

namespace cloze {
namespace {

// The end of the padding that begins at `first`.
std::int32_t end_of_padding(const Batch& batch, std::int32_t first) {
  const auto tokens = static_cast<std::int32_t>(batch.lo.size());
  std::int32_t end = first;
  while (end < tokens && batch.lo[end] >= batch.hi[end]) ++end;
  return end;
}

struct Sample {
  std::int32_t prefix_end;
  std::int32_t end;
};

// The sample that begins at `first`.
std::optional<Sample> sample_at(const Batch& batch, std::int32_t first) {
  const auto tokens = static_cast<std::int32_t>(batch.lo.size());
  const auto is_causal = [&](std::int32_t token) { return batch.hi[token] == token + 1; };
  std::int32_t end = first;
  while (end < tokens && batch.lo[end] == first && batch.lo[end] < batch.hi[end]) ++end;
  const std::int32_t prefix_end = is_causal(first) ? first : batch.hi[first];
  if (end == first || prefix_end >= end) return std::nullopt;
  for (std::int32_t token = first; token < prefix_end; ++token) {
    if (batch.hi[token] != prefix_end) return std::nullopt;
  }
  for (std::int32_t token = prefix_end; token < end; ++token) {
    if (!is_causal(token)) return std::nullopt;
  }
  return Sample{prefix_end, end};
}

void append_places(std::int32_t first, std::int32_t end, std::vector<std::int32_t>& places) {
  for (std::int32_t token = first; token < end; ++token) places.push_back(token);
}

}  // namespace

std::optional<SampleLayout> sample_layout(const Batch& batch) {
  const auto tokens = static_cast<std::int32_t>(batch.lo.size());
  SampleLayout layout{.offsets = {0}, .prefix_offsets = {0}, .suffix_offsets = {0}};
  for (std::int32_t first = 0; first < tokens;) {
    std::optional<Sample> sample;
    if (const std::int32_t end = end_of_padding(batch, first); end > first) {
      sample = Sample{first, end};
    } else {
      sample = sample_at(batch, first);
    }
    if (!sample) return std::nullopt;
    append_places(first, sample->prefix_end, layout.prefix_places);
    append_places(sample->prefix_end, sample->end, layout.suffix_places);
    layout.offsets.push_back(sample->end);
    if (sample->prefix_end > first) {
      layout.prefix_offsets.push_back(static_cast<std::int32_t>(layout.prefix_places.size()));
    }
    layout.suffix_offsets.push_back(static_cast<std::int32_t>(layout.suffix_places.size()));
    first = sample->end;
  }
  return layout;
}

}  // namespace cloze
