// Incremental training: a merge touches only the words that hold its pair, and the best pair
// comes from a heap whose entries are corrected when they surface.
#include "data/bpe_trainer.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_set>
#include <utility>
#include <vector>

#include "data/byte_level.h"
#include "data/utf8.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::int64_t kSmallestCount = 2;  // A pair that occurs once teaches nothing.
constexpr std::int64_t kProgressInterval = 256;

// Two ids, ordered as pairs are.
using PairKey = std::uint64_t;

PairKey pair_of(std::int32_t left, std::int32_t right) {
  return (PairKey{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
}

struct HashOfPair {
  std::size_t operator()(PairKey pair) const {
    return (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15ULL;
  }
};

// A distinct word of the texts; its ids shrink in place as pairs are joined.
struct Word {
  std::size_t begin = 0;  // In the ids of all words.
  std::uint32_t size = 0;
  std::int64_t count = 0;
};

struct Occurrences {
  std::int64_t count = 0;
  std::vector<std::uint32_t> words;  // Those that may hold the pair.
};

struct Candidate {
  std::int64_t count;
  PairKey pair;

  // For a heap with the most frequent on top, of equals the smaller pair.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Training {
 public:
  void add_word(std::string_view bytes, const std::array<std::int32_t, 256>& byte_ids,
                std::int64_t count) {
    words_.push_back({ids_.size(), static_cast<std::uint32_t>(bytes.size()), count});
    for (const char byte : bytes) ids_.push_back(byte_ids[static_cast<std::uint8_t>(byte)]);
  }

  void count_pairs() {
    for (std::uint32_t index = 0; index < words_.size(); ++index) {
      const Word& word = words_[index];
      for (std::size_t i = word.begin; i + 1 < word.begin + word.size; ++i) {
        change(pair_of(ids_[i], ids_[i + 1]), word.count, index);
      }
    }
    raised_.clear();
    for (const auto& [pair, occurrences] : pairs_) candidates_.push({occurrences.count, pair});
  }

  // The most frequent pair with its true count; a count of 0 when no pair is left.
  Candidate pop_best() {
    while (!candidates_.empty()) {
      Candidate best = candidates_.top();
      candidates_.pop();
      const auto found = pairs_.find(best.pair);
      const std::int64_t count = found == pairs_.end() ? 0 : found->second.count;
      if (count == best.count) return best;
      best.count = count;
      if (count > 0) candidates_.push(best);
    }
    return {0, 0};
  }

  void join(const Merge& merge) {
    const auto found = pairs_.find(pair_of(merge.left, merge.right));
    const std::vector<std::uint32_t> holders = std::move(found->second.words);
    found->second = {};
    for (const std::uint32_t index : holders) join_in_word(merge, index);
    pairs_.erase(pair_of(merge.left, merge.right));
    std::ranges::sort(raised_);
    const auto repeated = std::ranges::unique(raised_);
    raised_.erase(repeated.begin(), repeated.end());
    for (const PairKey pair : raised_) {
      const auto raised = pairs_.find(pair);
      if (raised != pairs_.end()) candidates_.push({raised->second.count, pair});
    }
    raised_.clear();
  }

 private:
  void change(PairKey pair, std::int64_t by, std::uint32_t word) {
    Occurrences& occurrences = pairs_[pair];
    occurrences.count += by;
    if (by < 0) return;
    if (occurrences.words.empty() || occurrences.words.back() != word) {
      occurrences.words.push_back(word);
    }
    raised_.push_back(pair);
  }

  void join_in_word(const Merge& merge, std::uint32_t index) {
    Word& word = words_[index];
    std::int32_t* const ids = ids_.data() + word.begin;
    std::uint32_t size = 0;  // Of what is joined already.
    for (std::uint32_t i = 0; i < word.size;) {
      if (i + 1 == word.size || ids[i] != merge.left || ids[i + 1] != merge.right) {
        ids[size++] = ids[i++];
        continue;
      }
      if (size > 0) {
        change(pair_of(ids[size - 1], merge.left), -word.count, index);
        change(pair_of(ids[size - 1], merge.result), word.count, index);
      }
      if (i + 2 < word.size) {
        change(pair_of(merge.right, ids[i + 2]), -word.count, index);
        change(pair_of(merge.result, ids[i + 2]), word.count, index);
      }
      ids[size++] = merge.result;
      i += 2;
    }
    word.size = size;
  }

  std::vector<std::int32_t> ids_;
  std::vector<Word> words_;
  std::unordered_map<PairKey, Occurrences, HashOfPair> pairs_;
  std::vector<PairKey> raised_;  // Pairs whose counts grew and must enter the heap.
  std::priority_queue<Candidate> candidates_;
};

// A pair that was joined can appear again when a second way leads to its left or right piece,
// and is joined once more. Readers of the file let the later of equal merges count.
void drop_repeated(std::vector<Merge>& merges) {
  std::unordered_set<PairKey, HashOfPair> seen;
  std::vector<Merge> kept;
  for (auto merge = merges.rbegin(); merge != merges.rend(); ++merge) {
    if (seen.insert(pair_of(merge->left, merge->right)).second) kept.push_back(*merge);
  }
  std::ranges::reverse(kept);
  merges = std::move(kept);
}

}  // namespace

std::size_t BpeTrainer::HashOfWord::operator()(std::string_view word) const {
  return XXH3_64bits(word.data(), word.size());
}

BpeTrainer::BpeTrainer(std::string_view split_pattern) : pattern_(split_pattern) {}

std::int64_t BpeTrainer::smallest_vocab_size() {
  return 256 + static_cast<std::int64_t>(glm_special_tokens().size());
}

void BpeTrainer::add(std::string_view text) {
  require_utf8(text);
  WordScanner scanner(pattern_);
  scanner.start(text);
  while (const auto word = scanner.next()) {
    const auto known = counts_.find(*word);
    if (known != counts_.end()) {
      ++known->second;
    } else {
      counts_.emplace(*word, 1);
    }
  }
}

TokenizerContent BpeTrainer::train(std::int64_t vocab_size, const Progress& progress) const {
  const std::int64_t smallest = smallest_vocab_size();
  CLOZE_REQUIRE(vocab_size >= smallest, ExitCode::kUsage,
                str("a vocabulary of ", vocab_size, " tokens is too small"),
                str("256 bytes and the special tokens need a --vocab-size of at least ", smallest));
  TokenizerContent content;
  content.split_pattern = pattern_.regex();
  std::array<std::int32_t, 256> byte_ids{};
  std::unordered_map<std::string, std::int32_t> ids;  // Of a piece's bytes.
  const auto add_piece = [&](const std::string& bytes) {
    const auto [place, is_new] = ids.emplace(bytes, static_cast<std::int32_t>(ids.size()));
    if (is_new) content.pieces.push_back({bytes, place->second});
    return place->second;
  };
  for (const std::uint8_t byte : byte_level_order()) {
    byte_ids[byte] = add_piece(std::string(1, static_cast<char>(byte)));
  }

  Training training;
  for (const auto& [word, count] : counts_) training.add_word(word, byte_ids, count);
  training.count_pairs();
  const std::int64_t num_pieces = vocab_size - smallest + 256;
  while (static_cast<std::int64_t>(content.pieces.size()) < num_pieces) {
    const Candidate best = training.pop_best();
    CLOZE_REQUIRE(best.count >= kSmallestCount, ExitCode::kUsage,
                  str("the texts give only ", content.pieces.size() - 256 + smallest,
                      " tokens, not ", vocab_size, ": no further pair occurs twice"),
                  "give more text or a smaller --vocab-size");
    const auto left = static_cast<std::int32_t>(best.pair >> 32);
    const auto right = static_cast<std::int32_t>(best.pair & 0xFFFFFFFFU);
    const auto bytes_of = [&](std::int32_t id) -> const std::string& {
      return content.pieces[static_cast<std::size_t>(id)].bytes;
    };
    // Two ways may lead to the same piece; the second adds a merge but no piece.
    const Merge merge{left, right, add_piece(bytes_of(left) + bytes_of(right))};
    content.merges.push_back(merge);
    training.join(merge);
    const auto found = static_cast<std::int64_t>(content.merges.size());
    if (progress && found % kProgressInterval == 0) progress(found, num_pieces - 256);
  }
  drop_repeated(content.merges);
  for (const std::string_view token : glm_special_tokens()) {
    const auto id = static_cast<std::int32_t>(num_pieces) +
                    static_cast<std::int32_t>(content.added_tokens.size());
    content.added_tokens.push_back({std::string(token), id, /*special=*/true,
                                    /*normalized=*/false});
  }
  return content;
}

}  // namespace cloze
