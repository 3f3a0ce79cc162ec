// A sample cut out of a batch.
#include "data/sample.h"

namespace cloze {

Batch empty_row(std::int64_t length) {
  const auto tokens = static_cast<std::size_t>(length);
  Batch batch;
  batch.rows = 1;
  batch.seq_length = length;
  batch.ordinals.resize(1);
  for (auto* row : {&batch.tokens, &batch.targets, &batch.position, &batch.block_position,
                    &batch.rotary_position, &batch.lo, &batch.hi}) {
    row->resize(tokens);
  }
  batch.loss_mask.resize(tokens);
  batch.objective.resize(tokens);
  return batch;
}

Sample copy_sample(const Batch& batch, const SampleBounds& bounds) {
  const auto copy = [&](const auto& row, auto& out) {
    out.assign(row.begin() + bounds.first, row.begin() + bounds.first + bounds.length);
  };
  Sample sample;
  sample.objective = bounds.objective;
  sample.separator = bounds.separator;
  copy(batch.tokens, sample.tokens);
  copy(batch.targets, sample.targets);
  copy(batch.loss_mask, sample.loss_mask);
  copy(batch.position, sample.position);
  copy(batch.block_position, sample.block_position);
  copy(batch.rotary_position, sample.rotary_position);
  return sample;
}

}  // namespace cloze
