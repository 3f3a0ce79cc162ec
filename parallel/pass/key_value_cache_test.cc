// Tests of the cache of keys and values.
#include "parallel/pass/key_value_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TEST(KeyValueCacheTest, RowsOfEveryLayerLieInTheOrderOfTheTokens) {
  KeyValueCache cache(5);
  const at::Tensor first = at::arange(6, at::kFloat).view({3, 2});
  const at::Tensor second = at::arange(6, 10, at::kFloat).view({2, 2});
  for (const std::uint32_t layer : {2, 0}) {
    EXPECT_TRUE(at::equal(cache.append(layer, first + layer), first + layer));
  }
  cache.advance(3);
  EXPECT_EQ(cache.size(), 3);
  for (const std::uint32_t layer : {0, 2}) {
    EXPECT_TRUE(at::equal(cache.append(layer, second + layer), at::cat({first, second}) + layer));
  }
  cache.advance(2);
  EXPECT_EQ(cache.size(), cache.capacity());
}

TEST(KeyValueCacheTest, ATokenTooManyIsAnError) {
  KeyValueCache cache(2);
  EXPECT_THROW(cache.append(0, at::zeros({3, 2})), Error);
}

}  // namespace
}  // namespace cloze
