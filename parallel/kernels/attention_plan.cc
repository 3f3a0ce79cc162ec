// Finds the segments of a batch and lists the work.
#include "parallel/kernels/attention_plan.h"

#ifndef CLOZE_KERNEL_AVX512

#include <algorithm>

#include "parallel/base/check.h"

namespace cloze {

std::vector<AttentionSegment> attention_segments(const std::int32_t* lo, const std::int32_t* hi,
                                                 std::int64_t tokens) {
  // first_key[t]: the first key that a query from t on sees.
  std::vector<std::int64_t> first_key(tokens + 1, tokens);
  for (std::int64_t t = tokens - 1; t >= 0; --t) {
    first_key[t] = first_key[t + 1];
    if (lo[t] < hi[t]) first_key[t] = std::min<std::int64_t>(first_key[t], lo[t]);
  }
  std::vector<AttentionSegment> segments;
  std::int64_t begin = 0;
  std::int64_t last_key = 0;  // One past the last key that a query before `end` sees.
  bool last_is_empty = false;
  for (std::int64_t end = 1; end <= tokens; ++end) {
    const bool empty = lo[end - 1] >= hi[end - 1];
    if (!empty) last_key = std::max<std::int64_t>(last_key, hi[end - 1]);
    if (last_key > end || first_key[end] < end) continue;
    const bool is_empty = end - begin == 1 && empty;
    if (is_empty && last_is_empty) {
      segments.back().last = end;
    } else {
      segments.push_back({begin, end});
    }
    last_is_empty = is_empty;
    begin = end;
  }
  return segments;
}

std::vector<AttentionItem> attention_items(const std::vector<AttentionSegment>& segments,
                                           std::int64_t heads, std::int64_t queries) {
  std::vector<AttentionItem> items;
  for (const AttentionSegment& segment : segments) {
    const std::int64_t step = queries == 0 ? segment.last - segment.first : queries;
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t first = segment.first; first < segment.last; first += step) {
        items.push_back({segment, head, first, std::min(segment.last, first + step)});
      }
    }
  }
  return items;
}

std::vector<AttentionItem> attention_cache_items(std::int64_t keys, std::int64_t tokens,
                                                 std::int64_t heads, std::int64_t queries) {
  std::vector<AttentionItem> items = attention_items({{0, tokens}}, heads, queries);
  for (AttentionItem& item : items) item.segment = {0, keys};
  return items;
}

void check_attention_shape(const AttentionShape& shape) {
  CLOZE_CHECK(shape.kv_heads >= 1 && shape.heads % shape.kv_heads == 0,
              str(shape.heads, " query heads cannot share ", shape.kv_heads, " kv heads"),
              "pass a number of query heads that the kv heads divide");
  CLOZE_CHECK(shape.q_stride >= shape.heads * shape.head_dim &&
                  shape.out_stride >= shape.heads * shape.head_dim &&
                  shape.kv_stride >= shape.kv_heads * shape.head_dim,
              str("strides q ", shape.q_stride, ", kv ", shape.kv_stride, ", out ",
                  shape.out_stride, " are shorter than a token's heads"),
              "pass strides in elements from token to token");
}

void check_attention(const AttentionShape& shape, const std::int32_t* lo, const std::int32_t* hi) {
  check_attention_shape(shape);
  const std::int64_t keys = shape.kv_tokens > 0 ? shape.kv_tokens : shape.tokens;
  for (std::int64_t t = 0; t < shape.tokens; ++t) {
    const bool inside = lo[t] >= hi[t] || (lo[t] >= 0 && hi[t] <= keys);
    CLOZE_CHECK(inside, str("token ", t, " sees keys [", lo[t], ", ", hi[t], ") of ", keys),
                "cut the interval to the tokens of the call");
  }
}

}  // namespace cloze

#endif
