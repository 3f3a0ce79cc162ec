// A flat table of pairs and the two ways to merge a word.
#include "data/bpe_merges.h"

#include <algorithm>
#include <bit>
#include <queue>
#include <utility>

namespace cloze {
namespace {

constexpr std::uint32_t kNoRank = ~std::uint32_t{0};
constexpr std::uint64_t kNoPair = ~std::uint64_t{0};  // No pair of ids, which are not negative.
constexpr std::size_t kShortWord = 128;               // Bytes.

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
         static_cast<std::uint32_t>(right);
}

// Where to look first for a pair: the high bits of a multiplication (Knuth 6.4).
std::size_t home_of(std::uint64_t pair, unsigned shift) {
  return static_cast<std::size_t>(((pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15ULL) >> shift);
}

}  // namespace

BpeMerges::BpeMerges(const std::array<std::int32_t, 256>& byte_ids, std::span<const Merge> merges)
    : byte_ids_(byte_ids) {
  const std::size_t num_slots = std::bit_ceil(std::max<std::size_t>(merges.size() * 2, 16));
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(num_slots));
  slots_.assign(num_slots, {kNoPair, kNoRank, 0});
  results_.reserve(merges.size());
  for (const Merge& merge : merges) {
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    std::size_t at = home_of(pair, shift_);
    while (slots_[at].pair != kNoPair && slots_[at].pair != pair) at = (at + 1) % num_slots;
    slots_[at] = {pair, static_cast<std::uint32_t>(results_.size()), merge.result};
    results_.push_back(merge.result);
  }
}

std::uint32_t BpeMerges::rank_of(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = home_of(pair, shift_);; at = (at + 1) & mask) {
    if (slots_[at].pair == pair) return slots_[at].rank;
    if (slots_[at].pair == kNoPair) return kNoRank;
  }
}

void BpeMerges::encode(std::string_view word, std::vector<std::int32_t>& out) const {
  if (word.size() <= kShortWord) {
    encode_short(word, out);
  } else {
    encode_long(word, out);
  }
}

// Takes the lowest rank by looking at all of them; a word has few, and they lie together.
void BpeMerges::encode_short(std::string_view word, std::vector<std::int32_t>& out) const {
  std::array<std::int32_t, kShortWord> ids;
  std::array<std::uint32_t, kShortWord> ranks;  // Of joining an id to the next one.
  std::size_t size = word.size();
  for (std::size_t i = 0; i < size; ++i) ids[i] = byte_ids_[static_cast<std::uint8_t>(word[i])];
  for (std::size_t i = 0; i + 1 < size; ++i) ranks[i] = rank_of(ids[i], ids[i + 1]);
  while (size > 1) {
    const auto ranks_end = ranks.begin() + static_cast<std::ptrdiff_t>(size - 1);
    const auto lowest = std::min_element(ranks.begin(), ranks_end);  // The leftmost of equals.
    if (*lowest == kNoRank) break;
    const auto place = static_cast<std::size_t>(lowest - ranks.begin());
    ids[place] = results_[*lowest];
    std::copy(ids.begin() + place + 2, ids.begin() + size, ids.begin() + place + 1);
    std::copy(lowest + 1, ranks_end, lowest);
    --size;
    if (place > 0) ranks[place - 1] = rank_of(ids[place - 1], ids[place]);
    if (place + 1 < size) ranks[place] = rank_of(ids[place], ids[place + 1]);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(size));
}

// Keeps the candidates in a heap and the ids in a doubly linked list. A candidate is stale when
// its pair is no longer there, which its rank shows, for a rank belongs to one pair.
void BpeMerges::encode_long(std::string_view word, std::vector<std::int32_t>& out) const {
  struct Symbol {
    std::int32_t id;
    std::uint32_t previous;
    std::uint32_t next;
    std::uint32_t rank;  // Of joining this to the next; kNoRank for the last and for joined ones.
  };
  const auto size = static_cast<std::uint32_t>(word.size());
  std::vector<Symbol> symbols(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    symbols[i] = {byte_ids_[static_cast<std::uint8_t>(word[i])], i - 1, i + 1, kNoRank};
  }
  using Candidate = std::pair<std::uint32_t, std::uint32_t>;  // Rank, place: leftmost of equals.
  std::vector<Candidate> found;
  found.reserve(size);
  const auto measure = [&](std::uint32_t place) {
    Symbol& symbol = symbols[place];
    symbol.rank = symbol.next < size ? rank_of(symbol.id, symbols[symbol.next].id) : kNoRank;
    return symbol.rank != kNoRank;
  };
  for (std::uint32_t i = 0; i < size; ++i) {
    if (measure(i)) found.emplace_back(symbols[i].rank, i);
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates(
      std::greater<>{}, std::move(found));
  while (!candidates.empty()) {
    const auto [rank, place] = candidates.top();
    candidates.pop();
    Symbol& symbol = symbols[place];
    if (symbol.rank != rank) continue;
    Symbol& joined = symbols[symbol.next];
    joined.rank = kNoRank;
    symbol.id = results_[rank];
    symbol.next = joined.next;
    if (symbol.next < size) symbols[symbol.next].previous = place;
    if (measure(place)) candidates.emplace(symbol.rank, place);
    if (place > 0 && measure(symbol.previous)) {
      candidates.emplace(symbols[symbol.previous].rank, symbol.previous);
    }
  }
  for (std::uint32_t i = 0; i < size; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace cloze
