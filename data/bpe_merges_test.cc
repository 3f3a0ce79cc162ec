// Merging is held to the definition: join the leftmost pair of the lowest rank until none is left.
#include "data/bpe_merges.h"

#include <gtest/gtest.h>

#include <ctime>
#include <map>
#include <string>
#include <utility>

#include "parallel/base/random.h"

namespace cloze {
namespace {

using Ids = std::vector<std::int32_t>;

std::array<std::int32_t, 256> identity() {
  std::array<std::int32_t, 256> ids{};
  for (std::size_t byte = 0; byte < 256; ++byte) ids[byte] = static_cast<std::int32_t>(byte);
  return ids;
}

// Merges over the letters a to d and over each other, in an order that no training would give.
std::vector<Merge> random_merges(std::uint64_t seed) {
  std::vector<std::string> pieces = {"a", "b", "c", "d"};
  std::map<std::string, std::int32_t> ids = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}, {"d", 'd'}};
  std::map<std::pair<std::string, std::string>, bool> used;
  std::vector<Merge> merges;
  for (std::uint64_t i = 0; merges.size() < 60; ++i) {
    const RandomKey key{.seed = seed, .domain = RandomDomain::kTest};
    const std::string& left = pieces[random_below(key, 2 * i, pieces.size())];
    const std::string& right = pieces[random_below(key, 2 * i + 1, pieces.size())];
    if (left.size() + right.size() > 6 || std::exchange(used[{left, right}], true)) continue;
    const std::string joined = left + right;
    const auto [place, is_new] = ids.emplace(joined, 256 + static_cast<std::int32_t>(ids.size()));
    merges.push_back({ids[left], ids[right], place->second});
    if (is_new) pieces.push_back(joined);
  }
  return merges;
}

Ids by_definition(const std::vector<Merge>& merges, const std::string& word) {
  Ids ids;
  for (const char byte : word) ids.push_back(static_cast<std::uint8_t>(byte));
  for (;;) {
    std::size_t best = merges.size();
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      for (std::size_t rank = 0; rank < best; ++rank) {
        if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) {
          best = rank;
          place = i;
        }
      }
    }
    if (best == merges.size()) return ids;
    ids[place] = merges[best].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

Ids encoded(const BpeMerges& merges, std::string_view word) {
  Ids ids;
  merges.encode(word, ids);
  return ids;
}

TEST(BpeMergesTest, ShortAndLongWordsFollowTheDefinition) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const std::vector<Merge> list = random_merges(seed);
    const BpeMerges merges(identity(), list);
    const RandomKey key{.seed = seed + 1000, .domain = RandomDomain::kTest};
    for (const std::size_t length : {0, 1, 2, 3, 7, 20, 127, 128, 129, 300}) {
      std::string word;
      for (std::size_t i = 0; i < length; ++i) {
        word.push_back(static_cast<char>('a' + random_below(key, length * 1000 + i, 4)));
      }
      ASSERT_EQ(encoded(merges, word), by_definition(list, word)) << seed << ' ' << word;
    }
  }
}

TEST(BpeMergesTest, RunsOfOneLetterJoinFromTheLeft) {
  const std::vector<Merge> list = {{'a', 'a', 300}, {300, 300, 301}};
  const BpeMerges merges(identity(), list);
  EXPECT_EQ(encoded(merges, "aaaaaaa"), (Ids{301, 300, 'a'}));
  const Ids long_run = encoded(merges, std::string(203, 'a'));
  EXPECT_EQ(long_run.size(), 52U);
  EXPECT_EQ(long_run[50], 300);
  EXPECT_EQ(long_run[51], 'a');
}

TEST(BpeMergesTest, OfTwoMergesOfOnePairTheLaterCounts) {
  const std::vector<Merge> list = {{'a', 'b', 300}, {'b', 'c', 301}, {'a', 'b', 302}};
  EXPECT_EQ(encoded(BpeMerges(identity(), list), "abc"), (Ids{'a', 301}));
  EXPECT_EQ(encoded(BpeMerges(identity(), list), "ab"), Ids{302});
}

TEST(BpeMergesTest, AMegabyteWithoutBlanksTakesSeconds) {
  const std::vector<Merge> list = random_merges(3);
  const BpeMerges merges(identity(), list);
  std::string word;
  const RandomKey key{.seed = 5, .domain = RandomDomain::kTest};
  for (std::size_t i = 0; i < 1000000; ++i) {
    word.push_back(static_cast<char>('a' + random_below(key, i, 4)));
  }
  const std::clock_t start = std::clock();
  EXPECT_LT(encoded(merges, word).size(), word.size());
  // A quadratic way would take an hour; sanitizers slow the good one down tenfold.
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 20.0);
}

}  // namespace
}  // namespace cloze
