#include "data/token_stream.h"

#include <gtest/gtest.h>

#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::int32_t kEos = 1;
using Texts = std::vector<std::vector<std::int32_t>>;

// What the stream should be, written down the plain way.
std::vector<std::int32_t> stream_of(const Texts& documents) {
  std::vector<std::int32_t> ids;
  for (const std::vector<std::int32_t>& document : documents) {
    ids.insert(ids.end(), document.begin(), document.end());
    if (document.empty() || document.back() != kEos) ids.push_back(kEos);
  }
  return ids;
}

void expect_every_window(const Texts& documents) {
  const std::vector<std::int32_t> expected = stream_of(documents);
  const TokenStream stream(memory_documents(documents), kEos);
  ASSERT_EQ(stream.num_tokens(), static_cast<std::int64_t>(expected.size()));
  for (std::size_t first = 0; first <= expected.size(); ++first) {
    for (std::size_t last = first; last <= expected.size(); ++last) {
      std::vector<std::int32_t> out(last - first);
      stream.read(static_cast<std::int64_t>(first), out);
      ASSERT_TRUE(
          std::equal(out.begin(), out.end(), expected.begin() + static_cast<std::ptrdiff_t>(first)))
          << first << " to " << last;
    }
  }
}

TEST(TokenStreamTest, DocumentsWithEosAreReadAsTheyAre) {
  expect_every_window({{7, 8, kEos}, {kEos}, {9, kEos}});
  EXPECT_EQ(TokenStream(memory_documents({{7, kEos}}), kEos).num_added(), 0);
}

TEST(TokenStreamTest, AddsTheEosThatDocumentsLack) {
  expect_every_window({{7, 8}, {9}, {10, 11, 12}});
  expect_every_window({{7, 8, kEos}, {9}, {10, 11, kEos}, {12, 13}});
}

TEST(TokenStreamTest, AnEmptyDocumentIsAnEosAlone) {
  expect_every_window({{}, {7, 8}, {}, {}, {9, kEos}, {}});
  EXPECT_EQ(TokenStream(memory_documents({{}, {7}, {}}), kEos).num_added(), 3);
}

TEST(TokenStreamTest, RefusesASourceWithoutTokens) {
  for (const Texts& documents : {Texts{}, Texts{{}, {}}}) {
    try {
      const TokenStream stream(memory_documents(documents), kEos);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
    }
  }
}

TEST(TokenStreamTest, RefusesToReadBeyondTheEnd) {
  const TokenStream stream(memory_documents({{7, 8}}), kEos);
  std::vector<std::int32_t> out(2);
  EXPECT_THROW(stream.read(2, out), Error);
  EXPECT_THROW(stream.read(-1, out), Error);
}

}  // namespace
}  // namespace cloze
