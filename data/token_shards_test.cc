#include "data/token_shards.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "data/shard_testing.h"
#include "data/shard_writer.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

using Ids = std::vector<std::int32_t>;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(CLOZE_SOURCE_DIR) / "tests/golden/shards" / name;
}

nlohmann::json expected_pairs() {
  return nlohmann::json::parse(read_text(golden("expected.json")));
}

Ids whole_document(const TokenShards& shards, std::int64_t document) {
  Ids ids(static_cast<std::size_t>(shards.document_length(document)));
  shards.read_document(document, 0, ids);
  return ids;
}

// 700,000 tokens of i32: three chunks, the last one short.
std::vector<Ids> large_documents() {
  std::vector<Ids> documents;
  for (std::int32_t document = 0; document < 700; ++document) {
    Ids ids;
    for (std::int32_t i = 0; i < 999; ++i) ids.push_back(1 + (document * 7919 + i * 31) % 70000);
    ids.push_back(0);
    documents.push_back(std::move(ids));
  }
  return documents;
}

void write_pair(const std::filesystem::path& prefix, const std::vector<Ids>& documents) {
  ShardWriter writer(prefix, {"tokenizer", 70001, 0});
  for (const Ids& document : documents) writer.append(document);
  writer.commit();
}

TEST(TokenShardsTest, ReadsPairsOfAnotherWriterInEveryIdType) {
  const nlohmann::json pairs = expected_pairs();
  ASSERT_EQ(pairs.size(), 6U);
  for (const auto& [name, pair] : pairs.items()) {
    const TokenShards shards = TokenShards::open(golden(name), nullptr);
    EXPECT_EQ(name_of(shards.token_type()), name);
    EXPECT_EQ(shards.largest_id(), pair["largest_id"].get<std::int64_t>());
    ASSERT_EQ(shards.num_documents(), static_cast<std::int64_t>(pair["documents"].size()));
    Ids stream;
    for (std::int64_t document = 0; document < shards.num_documents(); ++document) {
      const Ids wanted = pair["documents"][static_cast<std::size_t>(document)].get<Ids>();
      EXPECT_EQ(whole_document(shards, document), wanted) << name << ' ' << document;
      EXPECT_EQ(shards.document_start(document), static_cast<std::int64_t>(stream.size()));
      stream.insert(stream.end(), wanted.begin(), wanted.end());
    }
    Ids read(stream.size());
    shards.read_tokens(0, read);
    EXPECT_EQ(read, stream);
    EXPECT_NO_THROW(shards.verify());
  }
}

TEST(TokenShardsTest, KnowsWhichForeignDocumentsLackTheEos) {
  const TokenShards shards = TokenShards::open(golden("u16"), nullptr);
  EXPECT_EQ(shards.documents_without(7), 3);  // One without it, two without a token.
  std::vector<bool> ends;
  for (std::int64_t document = 0; document < shards.num_documents(); ++document) {
    ends.push_back(shards.ends_with(document, 7));
  }
  EXPECT_EQ(ends, (std::vector<bool>{true, true, true, false, false, false, true}));
  EXPECT_EQ(shards.documents_without(65535), 7);
}

TEST(TokenShardsTest, SaysThatAForeignPairIsReadWhole) {
  std::ostringstream notices;
  const TokenShards shards = TokenShards::open(golden("u16"), &notices);
  EXPECT_FALSE(shards.has_manifest());
  EXPECT_EQ(shards.manifest(), nullptr);
  EXPECT_NE(notices.str().find("no manifest"), std::string::npos) << notices.str();
}

TEST(TokenShardsTest, TakesThePrefixAndEitherFileName) {
  const std::string fingerprint = TokenShards::open(golden("u16"), nullptr).fingerprint();
  EXPECT_EQ(TokenShards::open(golden("u16.bin"), nullptr).fingerprint(), fingerprint);
  EXPECT_EQ(TokenShards::open(golden("u16.idx"), nullptr).fingerprint(), fingerprint);
}

TEST(TokenShardsTest, TheFingerprintNamesTheContentWithOrWithoutManifest) {
  const ScratchFolder folder;
  write_pair(folder / "a", {{5, 6, 0}, {7, 0}});
  const TokenShards own = TokenShards::open(folder / "a");
  EXPECT_TRUE(own.has_manifest());
  EXPECT_EQ(own.fingerprint().size(), 32U);
  std::filesystem::remove(folder / "a.json");
  EXPECT_EQ(TokenShards::open(folder / "a", nullptr).fingerprint(), own.fingerprint());
  write_pair(folder / "b", {{5, 6, 0}, {8, 0}});
  EXPECT_NE(TokenShards::open(folder / "b").fingerprint(), own.fingerprint());
  write_pair(folder / "c", {{5, 0}, {6, 7, 0}});
  EXPECT_NE(TokenShards::open(folder / "c").fingerprint(), own.fingerprint());
}

TEST(TokenShardsTest, OwnPairsAnswerFromTheManifest) {
  const ScratchFolder folder;
  write_pair(folder / "a", {{5, 69999, 0}, {7, 0}});
  const TokenShards shards = TokenShards::open(folder / "a");
  EXPECT_EQ(shards.largest_id(), 69999);
  EXPECT_EQ(shards.documents_without(0), 0);
  EXPECT_EQ(shards.documents_without(7), 2);
  EXPECT_TRUE(shards.ends_with(1, 0));
  EXPECT_FALSE(shards.ends_with(1, 7));
  EXPECT_EQ(shards.manifest()->tokenizer_digest, "tokenizer");
  EXPECT_EQ(shards.manifest()->vocab_size, 70001);
}

TEST(TokenShardsTest, AnyPartOfADocumentIsReadAcrossChunks) {
  const ScratchFolder folder;
  const std::vector<Ids> documents = large_documents();
  write_pair(folder / "a", documents);
  const TokenShards shards = TokenShards::open(folder / "a");
  ASSERT_EQ(shards.manifest()->chunk_digests.size(), 3U);
  for (std::size_t document = 0; document < documents.size(); document += 23) {
    for (const std::size_t first : {0UL, 1UL, 500UL, 999UL, 1000UL}) {
      const std::span<const std::int32_t> wanted = std::span(documents[document]).subspan(first);
      Ids ids(wanted.size());
      shards.read_document(static_cast<std::int64_t>(document), static_cast<std::int64_t>(first),
                           ids);
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), wanted.begin()));
    }
  }
}

TEST(TokenShardsTest, ManyThreadsReadAtOnce) {
  const ScratchFolder folder;
  const std::vector<Ids> documents = large_documents();
  write_pair(folder / "a", documents);
  const TokenShards shards = TokenShards::open(folder / "a");
  std::vector<int> wrong(4, 0);
  {
    std::vector<std::jthread> threads;
    for (std::size_t thread = 0; thread < wrong.size(); ++thread) {
      threads.emplace_back([&, thread] {
        for (std::size_t i = 0; i < documents.size(); ++i) {
          const std::size_t document = (i * 37 + thread * 101) % documents.size();
          if (whole_document(shards, static_cast<std::int64_t>(document)) != documents[document]) {
            ++wrong[thread];
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(TokenShardsTest, AMissingPairIsBadInputAndNamesTheFile) {
  const ScratchFolder folder;
  expect_error(ExitCode::kBadInput, "none.idx", [&] { TokenShards::open(folder / "none"); });
  write_pair(folder / "a", {{5, 0}});
  std::filesystem::remove(folder / "a.bin");
  expect_error(ExitCode::kBadInput, "a.bin", [&] { TokenShards::open(folder / "a"); });
}

TEST(TokenShardsTest, ReadingOutsideOfADocumentIsAnError) {
  const TokenShards shards = TokenShards::open(golden("u16"), nullptr);
  Ids ids(8);
  expect_error(ExitCode::kInternal, "6 tokens", [&] { shards.read_document(0, 0, ids); });
  expect_error(ExitCode::kInternal, "no document", [&] { shards.read_document(7, 0, ids); });
  expect_error(ExitCode::kInternal, "tokens", [&] { shards.read_tokens(-1, ids); });
}

}  // namespace
}  // namespace cloze
