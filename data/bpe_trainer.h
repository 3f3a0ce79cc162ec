// Learns a byte-level BPE vocabulary: the most frequent pair of neighbours becomes a piece, again
// and again. The result depends on the texts alone, not on their order or the machine: of pairs
// with equal counts the one of smaller ids is first. Hugging Face's BpeTrainer finds the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/split_pattern.h"
#include "data/tokenizer_files.h"

namespace cloze {

class BpeTrainer {
 public:
  // Called now and then with the merges found and the merges to find.
  using Progress = std::function<void(std::int64_t found, std::int64_t wanted)>;

  explicit BpeTrainer(std::string_view split_pattern = kGlmSplitPattern);

  // 256 bytes and GLM's special tokens.
  static std::int64_t smallest_vocab_size();

  // Counts the words of a text, which must be valid UTF-8 (kBadInput).
  void add(std::string_view text);

  std::int64_t num_distinct_words() const { return static_cast<std::int64_t>(counts_.size()); }

  // A tokenizer of exactly `vocab_size` tokens: bytes, merged pieces, GLM's special tokens. kUsage
  // when vocab_size is too small, or so large that pairs which occur twice run out.
  TokenizerContent train(std::int64_t vocab_size, const Progress& progress = {}) const;

 private:
  struct HashOfWord {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const;
  };

  SplitPattern pattern_;
  std::unordered_map<std::string, std::int64_t, HashOfWord, std::equal_to<>> counts_;
};

}  // namespace cloze
