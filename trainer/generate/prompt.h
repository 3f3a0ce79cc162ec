// What the model reads before it writes: a text with blanks, or the beginning of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "data/batch.h"
#include "data/special_tokens.h"

namespace cloze {

using TokenIds = std::vector<std::int32_t>;

// The first mask token of a text, and what it trains.
struct PromptBlank {
  std::size_t place = 0;
  Objective objective = Objective::kMask;
  bool operator==(const PromptBlank&) const = default;
};
std::optional<PromptBlank> first_blank(const TokenIds& ids, const SpecialTokens& special);

// A text as blank infilling saw them in training: [gMASK] is appended where no mask token is, and
// eos closes a text that does not end with a blank (GLM-130B's generate.py).
TokenIds with_blank_and_end(TokenIds ids, const SpecialTokens& special);

// Part A, all of which sees all of it, and <sop>: the first forward of filling `blank`.
Batch part_a_and_sop(const TokenIds& ids, const PromptBlank& blank, const SpecialTokens& special);
// Token number `index` of the blank (<sop> is 0), which sees all `seen` tokens before it.
Batch part_b_token(std::int32_t id, std::int64_t index, const PromptBlank& blank,
                   std::int64_t seen);

// Tokens [first, first + ids.size()) of a text that is read left to right.
Batch causal_tokens(const TokenIds& ids, std::int64_t first);

}  // namespace cloze
