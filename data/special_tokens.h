// The ids that objectives need: special tokens and the tokens that end sentences.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/tokenizer.h"

namespace cloze {

// -1 is a token that the objective does not need.
struct SpecialTokens {
  std::int32_t eos = -1;            // <|endoftext|>; also pads rows.
  std::int32_t mask = -1;           // [MASK]
  std::int32_t sentence_mask = -1;  // [sMASK]
  std::int32_t document_mask = -1;  // [gMASK]
  std::int32_t sop = -1;            // <sop>, opens a span in part B.
  std::int32_t eop = -1;            // <eop>, the target that closes one.

  bool operator==(const SpecialTokens&) const = default;

  std::int32_t mask_of(Objective objective) const {
    return objective == Objective::kMask       ? mask
           : objective == Objective::kSentence ? sentence_mask
                                               : document_mask;
  }
};

// kBadInput names the first token that the tokenizer lacks; causal needs eos alone.
SpecialTokens special_tokens(const Tokenizer& tokenizer, bool causal);

// A bit an id: whether a sentence ends with the token.
class SentenceEnds {
 public:
  SentenceEnds() = default;
  SentenceEnds(std::int64_t vocab_size, const std::vector<std::int32_t>& ids);

  bool ends(std::int32_t id) const {
    const auto index = static_cast<std::uint32_t>(id);
    return index / 64 < words_.size() && ((words_[index / 64] >> (index % 64)) & 1U) != 0;
  }
  const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  std::vector<std::uint64_t> words_;  // [vocab / 64], rounded up.
};

// The tokens whose text contains one of . ? ! ; : newline, or their full-width forms and the
// ellipsis.
SentenceEnds sentence_ends(const Tokenizer& tokenizer);

}  // namespace cloze
