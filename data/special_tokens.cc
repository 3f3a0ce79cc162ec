// Asks the tokenizer for ids and for the tokens that end sentences.
#include "data/special_tokens.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "parallel/base/check.h"

namespace cloze {

SpecialTokens special_tokens(const Tokenizer& tokenizer, bool causal) {
  SpecialTokens special;
  special.eos = tokenizer.special("<|endoftext|>");
  if (causal) return special;
  special.mask = tokenizer.special("[MASK]");
  special.sentence_mask = tokenizer.special("[sMASK]");
  special.document_mask = tokenizer.special("[gMASK]");
  special.sop = tokenizer.special("<sop>");
  special.eop = tokenizer.special("<eop>");
  return special;
}

SentenceEnds::SentenceEnds(std::int64_t vocab_size, const std::vector<std::int32_t>& ids)
    : words_(static_cast<std::size_t>((vocab_size + 63) / 64)) {
  for (const std::int32_t id : ids) {
    CLOZE_CHECK(id >= 0 && id < vocab_size, str("sentence end ", id, " of ", vocab_size, " ids"),
                "give ids of the vocabulary");
    const auto index = static_cast<std::uint32_t>(id);
    words_[index / 64] |= std::uint64_t{1} << (index % 64);
  }
}

SentenceEnds sentence_ends(const Tokenizer& tokenizer) {
  static constexpr std::array<std::string_view, 12> kEnds = {".",  "?",  "!",  ";",  ":",  "\n",
                                                             "。", "？", "！", "；", "：", "…"};
  std::vector<std::int32_t> ids;
  for (std::int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::array<std::int32_t, 1> one = {static_cast<std::int32_t>(id)};
    std::string text;
    try {
      text = tokenizer.decode(one, /*skip_special=*/true);
    } catch (const Error&) {
      continue;  // A hole in the vocabulary.
    }
    if (std::ranges::any_of(
            kEnds, [&](std::string_view end) { return text.find(end) != std::string::npos; })) {
      ids.push_back(one[0]);
    }
  }
  return {tokenizer.vocab_size(), ids};
}

}  // namespace cloze
