// Cuts attention into independent pieces of work, from the intervals alone: the plan depends on
// neither threads nor instruction set.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/kernels/attention.h"

namespace cloze {

// Tokens [first, last) that see no token outside and are seen by none: a row, or a document of a
// packed one. Tiles are counted from its start, so a document's bits do not depend on where in
// the batch it stands.
struct AttentionSegment {
  std::int64_t first = 0;
  std::int64_t last = 0;
  bool operator==(const AttentionSegment&) const = default;
};

// In token order, covering [0, tokens), as short as the intervals allow; neighbouring tokens
// with empty intervals share one.
std::vector<AttentionSegment> attention_segments(const std::int32_t* lo, const std::int32_t* hi,
                                                 std::int64_t tokens);

// Some queries of one head against their segment.
struct AttentionItem {
  AttentionSegment segment;
  std::int64_t head = 0;
  std::int64_t first_query = 0;
  std::int64_t last_query = 0;
};

// Every segment and head, cut into runs of `queries` queries (0: not cut).
std::vector<AttentionItem> attention_items(const std::vector<AttentionSegment>& segments,
                                           std::int64_t heads, std::int64_t queries);

// The queries of a call that has keys of its own, `keys` of them: all see one segment.
std::vector<AttentionItem> attention_cache_items(std::int64_t keys, std::int64_t tokens,
                                                 std::int64_t heads, std::int64_t queries);

// Checks the sizes of a call.
void check_attention_shape(const AttentionShape& shape);

// Those and the intervals.
void check_attention(const AttentionShape& shape, const std::int32_t* lo, const std::int32_t* hi);

// What an interval mask does to a tile of queries.
struct AttentionBounds {
  std::int64_t min_lo = 0;
  std::int64_t max_lo = 0;
  std::int64_t min_hi = 0;
  std::int64_t max_hi = 0;

  // Whether any query sees any of keys [first, last), and whether every query sees all.
  bool meets(std::int64_t first, std::int64_t last) const {
    return min_lo < last && first < max_hi;
  }
  bool covers(std::int64_t first, std::int64_t last) const {
    return max_lo <= first && last <= min_hi;
  }
};

}  // namespace cloze
