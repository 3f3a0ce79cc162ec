// Tests of attention whose keys are a cache: tokens given some at a time have the bits that they
// have all at once.
#include <cmath>

#include "parallel/base/check.h"
#include "parallel/kernels/attention.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

// A prefix that sees itself whole, then tokens that see all before them.
constexpr std::int64_t kTokens = 150;
constexpr std::int64_t kPrefix = 70;

std::vector<std::int32_t> ends_of_prefix_mask() {
  std::vector<std::int32_t> hi;
  for (std::int64_t t = 0; t < kTokens; ++t) {
    hi.push_back(static_cast<std::int32_t>(std::max(kPrefix, t + 1)));
  }
  return hi;
}

template <class T>
class AttentionCacheTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(AttentionCacheTest, StorageTypes);

TYPED_TEST(AttentionCacheTest, TokensOneByOneHaveTheBitsOfAllAtOnce) {
  using T = TypeParam;
  const std::int64_t head_dim = 24;
  AttentionShape shape{.tokens = kTokens,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = head_dim,
                       .q_stride = 8 * head_dim,
                       .kv_stride = 8 * head_dim,
                       .out_stride = 4 * head_dim,
                       .scale = 0.3};
  const auto qkv = normals<T>(kTokens * shape.q_stride, 1);
  const T* keys = qkv.data() + 4 * head_dim;
  const T* values = qkv.data() + 6 * head_dim;
  const std::vector<std::int32_t> lo(kTokens, 0);
  const std::vector<std::int32_t> hi = ends_of_prefix_mask();
  auto whole = poisoned<T>(kTokens * shape.out_stride);
  auto lse = poisoned<Accumulator<T>>(shape.heads * kTokens);
  attention_forward<T>(shape, qkv.data(), keys, values, lo.data(), hi.data(), nullptr, whole.data(),
                       lse.data());

  auto parts = poisoned<T>(kTokens * shape.out_stride);
  std::int64_t first = 0;
  for (const std::int64_t count : {kPrefix, std::int64_t{1}, std::int64_t{9}, std::int64_t{70}}) {
    shape.tokens = count;
    shape.kv_tokens = first + count;
    auto part_lse = poisoned<Accumulator<T>>(shape.heads * count);
    attention_forward<T>(shape, qkv.data() + first * shape.q_stride, keys, values,
                         lo.data() + first, hi.data() + first, nullptr,
                         parts.data() + first * shape.out_stride, part_lse.data());
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      for (std::int64_t t = 0; t < count; ++t) {
        ASSERT_EQ(part_lse[head * count + t], lse[head * kTokens + first + t]);
      }
    }
    first += count;
  }
  ASSERT_EQ(first, kTokens);
  EXPECT_TRUE(same_bits(parts, whole));
}

TEST(AttentionCacheChecksTest, AnIntervalBeyondTheCacheIsAnError) {
  float unused[64] = {};
  AttentionShape shape{.tokens = 1,
                       .heads = 1,
                       .kv_heads = 1,
                       .head_dim = 4,
                       .q_stride = 4,
                       .kv_stride = 4,
                       .out_stride = 4,
                       .scale = 1.0,
                       .kv_tokens = 3};
  const std::int32_t lo = 0;
  const std::int32_t hi = 4;
  EXPECT_THROW(
      attention_forward<float>(shape, unused, unused, unused, &lo, &hi, nullptr, unused, unused),
      Error);
}

TEST(AttentionCacheChecksTest, BackwardHasNoCache) {
  float unused[64] = {};
  const std::int32_t lo = 0;
  const std::int32_t hi = 1;
  const AttentionShape shape{.tokens = 1,
                             .heads = 1,
                             .kv_heads = 1,
                             .head_dim = 4,
                             .q_stride = 4,
                             .kv_stride = 4,
                             .out_stride = 4,
                             .scale = 1.0,
                             .kv_tokens = 3};
  EXPECT_THROW(attention_backward<float>(shape, unused, unused, unused, unused, unused, unused, &lo,
                                         &hi, nullptr, unused, unused, unused, unused),
               Error);
}

}  // namespace
}  // namespace cloze
