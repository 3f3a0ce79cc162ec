// Next-token samples: a piece as it is, each token's target the token after it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "data/batch.h"
#include "data/sample.h"

namespace cloze {

// Writes the sample of `ids` from token `first` of the batch on. `next` is the token that follows
// the piece in its document; none after a document's end, where nothing is predicted.
void write_causal(std::span<const std::int32_t> ids, std::optional<std::int32_t> next, Batch& batch,
                  std::int64_t first);

Sample make_causal_sample(std::span<const std::int32_t> ids, std::optional<std::int32_t> next);

}  // namespace cloze
