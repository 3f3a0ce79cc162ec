// Byte-pair encoding of one word: joins neighbours in the order of the merges' ranks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cloze {

// Two pieces that make a third. A merge's rank is its place in the list.
struct Merge {
  std::int32_t left;
  std::int32_t right;
  std::int32_t result;
};

class BpeMerges {
 public:
  // `byte_ids` are the ids of the 256 bytes. Of two merges of one pair the later counts.
  BpeMerges(const std::array<std::int32_t, 256>& byte_ids, std::span<const Merge> merges);

  // Appends the ids of `word`. O(n log n) for a long word, so that a text without blanks is no
  // trap; short words take a plainer and faster way to the same ids.
  void encode(std::string_view word, std::vector<std::int32_t>& out) const;

 private:
  struct Slot {
    std::uint64_t pair;
    std::uint32_t rank;
    std::int32_t result;
  };

  // The rank of joining two ids, or kNoRank.
  std::uint32_t rank_of(std::int32_t left, std::int32_t right) const;
  void encode_short(std::string_view word, std::vector<std::int32_t>& out) const;
  void encode_long(std::string_view word, std::vector<std::int32_t>& out) const;

  std::array<std::int32_t, 256> byte_ids_;
  std::vector<std::int32_t> results_;  // Of a rank.
  std::vector<Slot> slots_;            // Open addressing, at most half full.
  unsigned shift_;                     // 64 - log2 of the number of slots.
};

}  // namespace cloze
