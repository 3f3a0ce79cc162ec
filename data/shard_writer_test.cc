#include "data/shard_writer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "data/shard_testing.h"
#include "data/token_shards.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

using Ids = std::vector<std::int32_t>;

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

// The documents of the golden pair that this writer could have written: each closed once.
std::vector<Ids> closed_documents(const nlohmann::json& pair) {
  std::vector<Ids> documents;
  for (const auto& document : pair["documents"]) {
    const auto ids = document.get<Ids>();
    const std::int32_t eos = pair["eos"].get<std::int32_t>();
    if (ids.size() >= 2 && ids.back() == eos) documents.push_back(ids);
  }
  return documents;
}

// What Megatron's format says of these documents, put together number by number.
std::string index_of(const std::vector<Ids>& documents, std::uint8_t code, std::int64_t width) {
  std::string lengths, offsets, boundaries, index("MMIDIDX\0\0", 9);
  const auto put = [](std::string& bytes, std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    put(lengths, documents[i].size(), 4);
    put(offsets, offset, 8);
    put(boundaries, i, 8);
    offset += documents[i].size() * static_cast<std::uint64_t>(width);
  }
  put(boundaries, documents.size(), 8);
  put(index, 1, 8);
  put(index, code, 1);
  put(index, documents.size(), 8);
  put(index, documents.size() + 1, 8);
  return index + lengths + offsets + boundaries;
}

TEST(ShardWriterTest, WritesTheBytesOfTheFormat) {
  const nlohmann::json pairs = nlohmann::json::parse(
      read_text(std::filesystem::path(CLOZE_SOURCE_DIR) / "tests/golden/shards/expected.json"));
  for (const auto& [vocab_size, code, width] :
       {std::tuple{std::int64_t{65499}, 8, 2}, std::tuple{std::int64_t{65500}, 4, 4}}) {
    const ScratchFolder folder;
    const std::vector<Ids> documents = closed_documents(pairs["i16"]);
    ASSERT_EQ(documents.size(), 3U);
    ShardWriter writer(folder / "a", {"tokenizer", vocab_size, 7});
    std::string bin;
    for (const Ids& document : documents) {
      writer.append(document);
      for (const std::int32_t id : document) {
        for (int i = 0; i < width; ++i) bin.push_back(static_cast<char>(id >> (8 * i)));
      }
    }
    writer.commit();
    EXPECT_EQ(read_text(folder / "a.bin"), bin);
    EXPECT_EQ(read_text(folder / "a.idx"),
              index_of(documents, static_cast<std::uint8_t>(code), width));
  }
}

TEST(ShardWriterTest, TheManifestDescribesThePair) {
  const ScratchFolder folder;
  ShardWriter writer(folder / "a", {"0123abcd", 1000, 3});
  writer.append(Ids{5, 999, 3});
  writer.append(Ids{6, 3});
  const ShardManifest manifest = writer.commit();
  EXPECT_EQ(parse_manifest(read_text(folder / "a.json"), "a.json"), manifest);
  EXPECT_EQ(manifest.tokenizer_digest, "0123abcd");
  EXPECT_EQ(manifest.num_documents, 2);
  EXPECT_EQ(manifest.num_tokens, 5);
  EXPECT_EQ(manifest.largest_id, 999);
  EXPECT_EQ(manifest.bin_bytes, 10);
  EXPECT_EQ(manifest.chunk_digests, std::vector{digest_of(read_text(folder / "a.bin"))});
  EXPECT_EQ(manifest.idx_digest, digest_of(read_text(folder / "a.idx")));
  // Also for readers that know nothing of ours.
  const nlohmann::json json = nlohmann::json::parse(read_text(folder / "a.json"));
  EXPECT_EQ(json["documents"], 2);
  EXPECT_EQ(json["chunk_bytes"], 1 << 20);
  EXPECT_EQ(json["fingerprint"], TokenShards::open(folder / "a").fingerprint());
}

TEST(ShardWriterTest, DocumentsAcrossChunksComeBack) {
  const ScratchFolder folder;
  std::vector<Ids> documents;
  ShardWriter writer(folder / "a", {"tokenizer", 60000, 0});
  for (std::int32_t document = 0; document < 40; ++document) {
    Ids ids(static_cast<std::size_t>(document * 1777 + 1), 1 + document);
    ids.push_back(0);
    writer.append(ids);
    documents.push_back(std::move(ids));
  }
  writer.commit();
  const TokenShards shards = TokenShards::open(folder / "a");
  ASSERT_GT(shards.manifest()->chunk_digests.size(), 2U);
  EXPECT_NO_THROW(shards.verify());
  for (std::size_t document = 0; document < documents.size(); ++document) {
    Ids ids(documents[document].size());
    shards.read_document(static_cast<std::int64_t>(document), 0, ids);
    EXPECT_EQ(ids, documents[document]);
  }
}

TEST(ShardWriterTest, LeavesNothingWhenItIsNotCommitted) {
  const ScratchFolder folder;
  {
    ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
    writer.append(Ids{5, 0});
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"a.bin.tmp", "a.lock"}));
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(ShardWriterTest, ACommitLeavesTheThreeFilesAlone) {
  const ScratchFolder folder;
  {
    ShardWriter writer(folder / "deep/folder/a", {"tokenizer", 10, 0});
    writer.append(Ids{5, 0});
    writer.commit();
  }
  EXPECT_EQ(names_in(folder / "deep/folder"),
            (std::vector<std::string>{"a.bin", "a.idx", "a.json"}));
}

TEST(ShardWriterTest, AKilledWriterLeavesNoPairAndTheNextRunWritesTheSameBytes) {
  const ScratchFolder folder;
  const auto append_all = [&](ShardWriter& writer) {
    for (std::int32_t i = 0; i < 3000; ++i) {
      Ids ids(400, 1 + i % 9);
      ids.push_back(0);
      writer.append(ids);
    }
  };
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
    append_all(writer);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  expect_error(ExitCode::kBadInput, "a.idx", [&] { TokenShards::open(folder / "a"); });
  for (const char* prefix : {"a", "b"}) {
    ShardWriter writer(folder / prefix, {"tokenizer", 10, 0});
    append_all(writer);
    writer.commit();
  }
  for (const char* ending : {".bin", ".idx", ".json"}) {
    EXPECT_EQ(read_text(folder / (std::string("a") + ending)),
              read_text(folder / (std::string("b") + ending)));
  }
}

TEST(ShardWriterTest, ACommitCutShortShowsNoPairAndCanBeDoneAgain) {
  const ScratchFolder folder;
  for (const std::vector<const char*>& missing :
       {std::vector{"a.idx"}, std::vector{"a.idx", "a.json"},
        std::vector{"a.idx", "a.json", "a.bin"}}) {
    ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
    writer.append(Ids{5, 0});
    writer.commit();
    for (const char* name : missing) {
      std::filesystem::rename(folder / name, folder / (std::string(name) + ".tmp"));
    }
    expect_error(ExitCode::kBadInput, "a.idx", [&] { TokenShards::open(folder / "a"); });
  }
}

TEST(ShardWriterTest, TwoWritersOfOneOutputAreRefused) {
  const ScratchFolder folder;
  {
    ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
    expect_error(ExitCode::kCannotWrite, "another process is writing", [&] {
      ShardWriter(folder / "a", {"tokenizer", 10, 0});
    });
    expect_error(ExitCode::kCannotWrite, "another process is writing", [&] {
      ShardWriter(folder / "a.bin", {"tokenizer", 10, 0});
    });
    EXPECT_NO_THROW(ShardWriter(folder / "b", {"tokenizer", 10, 0}));
  }
  EXPECT_NO_THROW(ShardWriter(folder / "a", {"tokenizer", 10, 0}));
}

TEST(ShardWriterTest, ReplacesItsOwnPairAndNoOther) {
  const ScratchFolder folder;
  for (const std::int32_t id : {5, 6}) {
    ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
    writer.append(Ids{id, 0});
    writer.commit();
    Ids ids(2);
    TokenShards::open(folder / "a").read_document(0, 0, ids);
    EXPECT_EQ(ids, (Ids{id, 0}));
  }
  std::filesystem::remove(folder / "a.json");  // Now it looks like a pair of another tool.
  expect_error(ExitCode::kCannotWrite, "a.idx exists", [&] {
    ShardWriter(folder / "a", {"tokenizer", 10, 0});
  });
  write_text(folder / "b.json", "{\"text\": \"a corpus of this name\"}\n");
  expect_error(ExitCode::kCannotWrite, "b.json exists", [&] {
    ShardWriter(folder / "b", {"tokenizer", 10, 0});
  });
  EXPECT_EQ(read_text(folder / "b.json"), "{\"text\": \"a corpus of this name\"}\n");
}

TEST(ShardWriterTest, AnOutputThatCannotBeWrittenIsSaidAtTheStart) {
  const ScratchFolder folder;
  write_text(folder / "file", "");
  expect_error(ExitCode::kCannotWrite, "cannot create the folder", [&] {
    ShardWriter(folder / "file/a", {"tokenizer", 10, 0});
  });
  expect_error(ExitCode::kCannotWrite, "is a folder", [&] {
    ShardWriter(folder.path(), {"tokenizer", 10, 0});
  });
  expect_error(ExitCode::kCannotWrite, "cannot create", [&] {
    ShardWriter("/proc/a", {"tokenizer", 10, 0});
  });
}

TEST(ShardWriterTest, IdsOutsideOfTheVocabularyAreRefused) {
  const ScratchFolder folder;
  ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
  expect_error(ExitCode::kBadInput, "the id 10, outside", [&] { writer.append(Ids{10, 0}); });
  expect_error(ExitCode::kBadInput, "the id -1, outside", [&] { writer.append(Ids{-1, 0}); });
  expect_error(ExitCode::kBadInput, "end-of-text id 10", [&] {
    ShardWriter(folder / "b", {"tokenizer", 10, 10});
  });
}

TEST(ShardWriterTest, ADocumentEndsWithExactlyOneEos) {
  const ScratchFolder folder;
  ShardWriter writer(folder / "a", {"tokenizer", 10, 0});
  for (const Ids& document : std::vector<Ids>{{}, {0}, {5}, {5, 6}, {5, 0, 0}, {5, 0, 6, 0}}) {
    EXPECT_THROW(writer.append(document), Error);
  }
  EXPECT_EQ(writer.num_documents(), 0);
  EXPECT_THROW(writer.commit(), Error);
}

}  // namespace
}  // namespace cloze
