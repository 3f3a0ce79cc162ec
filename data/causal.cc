// Writes next-token samples.
#include "data/causal.h"

#include <algorithm>

namespace cloze {

void write_causal(std::span<const std::int32_t> ids, std::optional<std::int32_t> next, Batch& batch,
                  std::int64_t first) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::size_t at = static_cast<std::size_t>(first) + i;
    const bool last = i + 1 == ids.size();
    const bool counts = !last || next.has_value();
    batch.tokens[at] = ids[i];
    batch.targets[at] = !last ? ids[i + 1] : next.value_or(0);
    batch.loss_mask[at] = counts ? 1 : 0;
    batch.position[at] = static_cast<std::int32_t>(i);
    batch.block_position[at] = 0;
    batch.rotary_position[at] = static_cast<std::int32_t>(i);
    batch.lo[at] = static_cast<std::int32_t>(first);
    batch.hi[at] = static_cast<std::int32_t>(at) + 1;
    batch.objective[at] = static_cast<std::uint8_t>(Objective::kCausal);
  }
}

Sample make_causal_sample(std::span<const std::int32_t> ids, std::optional<std::int32_t> next) {
  const auto length = static_cast<std::int64_t>(ids.size());
  Batch batch = empty_row(length);
  write_causal(ids, next, batch, 0);
  return copy_sample(batch, {.length = length, .separator = 0, .objective = Objective::kCausal});
}

}  // namespace cloze
