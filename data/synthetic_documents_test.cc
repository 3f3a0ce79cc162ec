#include "data/synthetic_documents.h"

#include <gtest/gtest.h>

#include <vector>

#include "data/token_stream.h"

namespace cloze {
namespace {

constexpr SyntheticText kText = {
    .num_tokens = 1000, .document_tokens = 64, .first_id = 10, .last_id = 20, .eos = 3, .seed = 5};

std::vector<std::int32_t> read(const Documents& documents, std::int64_t first, std::size_t count) {
  std::vector<std::int32_t> out(count);
  documents.read_tokens(first, out);
  return out;
}

TEST(SyntheticDocuments, EveryDocumentEndsWithItsOnlyEos) {
  const auto documents = synthetic_documents(kText);
  ASSERT_EQ(documents->num_documents(), 16);
  const std::vector<std::int32_t> all = read(*documents, 0, 1000);
  std::int64_t first = 0;
  for (std::int64_t i = 0; i < 16; ++i) {
    const std::int64_t last = first + documents->document_length(i);
    for (std::int64_t token = first; token < last; ++token) {
      const std::int32_t id = all[static_cast<std::size_t>(token)];
      EXPECT_EQ(id == kText.eos, token + 1 == last) << token;
      EXPECT_TRUE(token + 1 == last || (id >= 10 && id < 20)) << id;
    }
    first = last;
  }
  EXPECT_EQ(first, 1000);
  // No eos is to be added: the stream is the text itself.
  EXPECT_EQ(TokenStream(synthetic_documents(kText), kText.eos).num_added(), 0);
}

TEST(SyntheticDocuments, ATokenDependsOnItsPlaceAlone) {
  const auto documents = synthetic_documents(kText);
  const std::vector<std::int32_t> all = read(*documents, 0, 1000);
  for (const std::int64_t first : {0, 1, 62, 63, 64, 500, 999}) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{65}}) {
      if (first + static_cast<std::int64_t>(count) > 1000) continue;
      EXPECT_EQ(
          read(*documents, first, count),
          std::vector(all.begin() + first, all.begin() + first + static_cast<std::int64_t>(count)));
    }
  }
}

TEST(SyntheticDocuments, NothingMayBeReadAtTheEnd) {
  EXPECT_NO_THROW(read(*synthetic_documents(kText), kText.num_tokens, 0));
}

TEST(SyntheticDocuments, IdsAreDrawnEvenly) {
  SyntheticText text = kText;
  text.num_tokens = text.document_tokens = 100001;
  std::vector<int> counts(10);
  for (const std::int32_t id : read(*synthetic_documents(text), 0, 100000)) {
    ++counts[static_cast<std::size_t>(id - 10)];
  }
  // Standard deviation 95.
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
}

TEST(SyntheticDocuments, ATrillionTokensAreNoMatter) {
  SyntheticText text = kText;
  text.num_tokens = 1'000'000'000'000;
  const auto documents = synthetic_documents(text);
  EXPECT_EQ(documents->num_documents(), text.num_tokens / 64);
  EXPECT_EQ(read(*documents, text.num_tokens - 1, 1).front(), text.eos);
}

}  // namespace
}  // namespace cloze
