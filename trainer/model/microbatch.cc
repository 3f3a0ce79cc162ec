#include "trainer/model/microbatch.h"

#include <algorithm>
#include <utility>

namespace cloze {

Microbatch::Microbatch(Batch rows) : batch(std::move(rows)) {
  const std::int64_t tokens = batch.num_tokens();
  token_ordinals.resize(static_cast<std::size_t>(tokens));
  index_in_row.resize(static_cast<std::size_t>(tokens));
  for (std::int64_t token = 0; token < tokens; ++token) {
    // Tokens after the last row are padding; they count as more tokens of that row.
    const std::int64_t row = std::min(token / batch.seq_length, batch.rows - 1);
    token_ordinals[token] = batch.ordinals[row];
    index_in_row[token] = static_cast<std::int32_t>(token - row * batch.seq_length);
    if (batch.loss_mask[token] == 0) continue;
    targets.tokens.push_back(token);
    targets.ids.push_back(batch.targets[token]);
  }
}

}  // namespace cloze
