// GLM's autoregressive blank infilling: a piece with blanks becomes part A, where a mask token
// stands for each blank, and part B, where each blank is written out after <sop>
// (Du et al. 2022, "GLM: General Language Model Pretraining with Autoregressive Blank Infilling").
#pragma once

#include <cstdint>
#include <span>

#include "data/batch.h"
#include "data/objective_options.h"
#include "data/sample.h"
#include "data/span_sampling.h"
#include "data/special_tokens.h"

namespace cloze {

// Tokens of the corrupted piece: a blank costs its mask token and its <sop>.
constexpr std::int64_t corrupted_length(std::int64_t length, std::int64_t num_blanks) {
  return length + 2 * num_blanks;
}

// Writes the sample of `ids` with `blanks` (in text order, not touching the same token) from token
// `first` of the batch on, and notes the blanks' mask places. `order` is the order of the blanks
// in part B. Returns the length of part A.
std::int64_t write_blank_infilling(std::span<const std::int32_t> ids, std::span<Blank> blanks,
                                   std::span<const std::int32_t> order, Objective objective,
                                   const SpecialTokens& special, Batch& batch, std::int64_t first);

// A piece alone: a pure function of its arguments.
Sample make_blank_infilling_sample(std::span<const std::int32_t> ids,
                                   const ObjectiveOptions& options, const SpecialTokens& special,
                                   const SentenceEnds& sentence_ends, Objective objective,
                                   const SampleKey& key);

}  // namespace cloze
