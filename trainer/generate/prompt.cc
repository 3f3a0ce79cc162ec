#include "trainer/generate/prompt.h"

#include <algorithm>

namespace cloze {
namespace {

// One row; the fields of every token that nothing else sets.
Batch row_of(const TokenIds& ids, Objective objective) {
  const std::size_t n = ids.size();
  Batch batch;
  batch.rows = 1;
  batch.seq_length = static_cast<std::int64_t>(n);
  batch.ordinals = {0};
  batch.tokens = ids;
  batch.targets.assign(n, 0);
  batch.loss_mask.assign(n, 0);
  batch.position.assign(n, 0);
  batch.block_position.assign(n, 0);
  batch.rotary_position.assign(n, 0);
  batch.lo.assign(n, 0);
  batch.hi.assign(n, 0);
  batch.objective.assign(n, static_cast<std::uint8_t>(objective));
  return batch;
}

// A token of part B stands where its mask token stands. What a block without block positions
// rotates by runs on for [gMASK] alone, from the end of part A: after a [gMASK] that is not the
// last token, part B would otherwise take the positions of what follows it (docs/objective.md).
void place_in_part_b(Batch& batch, std::size_t token, std::int64_t index, const PromptBlank& blank,
                     std::int64_t seen) {
  const auto place = static_cast<std::int32_t>(blank.place);
  batch.position[token] = place;
  batch.block_position[token] = static_cast<std::int32_t>(index + 1);
  batch.rotary_position[token] =
      blank.objective == Objective::kDocument ? static_cast<std::int32_t>(seen) : place;
}

}  // namespace

std::optional<PromptBlank> first_blank(const TokenIds& ids, const SpecialTokens& special) {
  for (std::size_t place = 0; place < ids.size(); ++place) {
    for (const Objective objective :
         {Objective::kMask, Objective::kSentence, Objective::kDocument}) {
      if (ids[place] == special.mask_of(objective)) return PromptBlank{place, objective};
    }
  }
  return std::nullopt;
}

TokenIds with_blank_and_end(TokenIds ids, const SpecialTokens& special) {
  if (!first_blank(ids, special)) ids.push_back(special.document_mask);
  const bool ends_with_blank = ids.back() == special.mask || ids.back() == special.sentence_mask ||
                               ids.back() == special.document_mask;
  if (!ends_with_blank && ids.back() != special.eos) ids.push_back(special.eos);
  return ids;
}

Batch part_a_and_sop(const TokenIds& ids, const PromptBlank& blank, const SpecialTokens& special) {
  TokenIds tokens = ids;
  tokens.push_back(special.sop);
  Batch batch = row_of(tokens, blank.objective);
  const auto part_a = static_cast<std::int32_t>(ids.size());
  for (std::int32_t t = 0; t < part_a; ++t) {
    batch.position[t] = batch.rotary_position[t] = t;
    batch.hi[t] = part_a;
  }
  place_in_part_b(batch, ids.size(), 0, blank, part_a);
  batch.hi.back() = part_a + 1;
  return batch;
}

Batch part_b_token(std::int32_t id, std::int64_t index, const PromptBlank& blank,
                   std::int64_t seen) {
  Batch batch = row_of({id}, blank.objective);
  place_in_part_b(batch, 0, index, blank, seen);
  batch.hi[0] = static_cast<std::int32_t>(seen + 1);
  return batch;
}

Batch causal_tokens(const TokenIds& ids, std::int64_t first) {
  Batch batch = row_of(ids, Objective::kCausal);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const auto place = static_cast<std::int32_t>(first) + static_cast<std::int32_t>(t);
    batch.position[t] = batch.rotary_position[t] = place;
    batch.hi[t] = place + 1;
  }
  return batch;
}

}  // namespace cloze
