// Damaged and hostile pairs: every one is an Error, none a crash, a hang or a wrong token.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/shard_testing.h"
#include "data/shard_writer.h"
#include "data/token_shards.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

using Ids = std::vector<std::int32_t>;

class TokenShardsDamageTest : public testing::Test {
 protected:
  void SetUp() override {
    ShardWriter writer(prefix_, {"tokenizer", 300, 0});
    for (const Ids& document : std::vector<Ids>{{5, 6, 299, 0}, {8, 0}, {9, 10, 11, 0}}) {
      writer.append(document);
    }
    writer.commit();
    idx_ = read_text(folder_ / "a.idx");
    bin_ = read_text(folder_ / "a.bin");
    json_ = read_text(folder_ / "a.json");
  }

  // Opens the pair and reads all of it, as a training run would in the end.
  void open_and_read() const {
    const TokenShards shards = TokenShards::open(prefix_, nullptr);
    Ids ids(static_cast<std::size_t>(shards.num_tokens()));
    shards.read_tokens(0, ids);
  }

  // Changes one byte where it lies; a file written anew would be flushed to the disk each time.
  void patch(const std::string& name, std::size_t place, char byte) const {
    std::fstream file(folder_ / name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(place));
    file.put(byte);
  }

  // How many of all single-bit changes of `name` go unnoticed by `use`.
  template <typename Use>
  int unnoticed_flips(const std::string& name, const std::string& content, const Use& use) {
    int unnoticed = 0;
    for (std::size_t bit = 0; bit < 8 * content.size(); ++bit) {
      const char byte = content[bit / 8];
      patch(name, bit / 8, static_cast<char>(byte ^ static_cast<char>(1U << (bit % 8))));
      try {
        use();
        ++unnoticed;
        ADD_FAILURE() << name << ": bit " << bit;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kBadInput) << name << ": bit " << bit << error.what();
      }
      patch(name, bit / 8, byte);
    }
    return unnoticed;
  }

  // Writes an index of these numbers beside a .bin of `bin_bytes` zeros, without manifest.
  void write_foreign(std::uint64_t version, std::uint8_t code, std::uint64_t sequences,
                     std::uint64_t boundaries, const std::string& arrays, std::size_t bin_bytes) {
    std::filesystem::remove(folder_ / "a.json");
    std::string index("MMIDIDX\0\0", 9);
    const auto put = [&](const auto& value) {
      index.append(reinterpret_cast<const char*>(&value), sizeof(value));
    };
    put(version);
    put(code);
    put(sequences);
    put(boundaries);
    write_text(folder_ / "a.idx", index + arrays);
    write_text(folder_ / "a.bin", std::string(bin_bytes, '\0'));
  }

  static std::string arrays_of(const std::vector<std::int32_t>& lengths,
                               const std::vector<std::int64_t>& offsets,
                               const std::vector<std::int64_t>& boundaries) {
    const auto bytes = [](const auto& values) {
      return std::string(reinterpret_cast<const char*>(values.data()),
                         values.size() * sizeof(values[0]));
    };
    return bytes(lengths) + bytes(offsets) + bytes(boundaries);
  }

  void expect_refused(std::string_view part) {
    expect_error(ExitCode::kBadInput, part, [&] { open_and_read(); });
  }

  ScratchFolder folder_;
  std::filesystem::path prefix_ = folder_ / "a";
  std::string idx_;
  std::string bin_;
  std::string json_;
};

TEST_F(TokenShardsDamageTest, EveryFlippedBitOfTheIndexIsFoundAtOpen) {
  EXPECT_EQ(unnoticed_flips("a.idx", idx_, [&] { TokenShards::open(prefix_, nullptr); }), 0);
  EXPECT_NO_THROW(open_and_read());
}

TEST_F(TokenShardsDamageTest, EveryFlippedBitOfTheTokensIsFoundWhenTheyAreRead) {
  EXPECT_EQ(unnoticed_flips("a.bin", bin_, [&] { open_and_read(); }), 0);
}

TEST_F(TokenShardsDamageTest, EveryFlippedBitOfTheManifestIsFoundAtOpen) {
  EXPECT_EQ(unnoticed_flips("a.json", json_, [&] { TokenShards::open(prefix_, nullptr); }), 0);
}

TEST_F(TokenShardsDamageTest, AFlippedBitNamesTheChunkAndVerifyFindsIt) {
  std::string damaged = bin_;
  damaged[3] = static_cast<char>(damaged[3] ^ 1);
  write_text(folder_ / "a.bin", damaged);
  const TokenShards shards = TokenShards::open(prefix_);
  expect_error(ExitCode::kBadInput, "a.bin: chunk 0 (bytes 0 to 20)", [&] {
    Ids ids(1);
    shards.read_document(2, 0, ids);
  });
  expect_error(ExitCode::kBadInput, "chunk 0", [&] { shards.verify(); });
}

TEST_F(TokenShardsDamageTest, EveryTruncationIsFoundAtOpen) {
  for (const auto& [name, content] :
       {std::pair{"a.idx", idx_}, std::pair{"a.bin", bin_}, std::pair{"a.json", json_}}) {
    for (std::size_t size = content.size(); size-- > 0;) {
      std::filesystem::resize_file(folder_ / name, size);
      expect_error(ExitCode::kBadInput, "a.", [&] { TokenShards::open(prefix_, nullptr); });
    }
    write_text(folder_ / name, content + '\0');
    expect_error(ExitCode::kBadInput, "a", [&] { TokenShards::open(prefix_, nullptr); });
    write_text(folder_ / name, content);
  }
}

TEST_F(TokenShardsDamageTest, EveryTruncationIsFoundWithoutAManifestToo) {
  std::filesystem::remove(folder_ / "a.json");
  for (std::size_t size = idx_.size(); size-- > 0;) {
    std::filesystem::resize_file(folder_ / "a.idx", size);
    expect_refused("a.idx");
  }
  write_text(folder_ / "a.idx", idx_);
  for (std::size_t size = bin_.size(); size-- > 0;) {
    std::filesystem::resize_file(folder_ / "a.bin", size);
    expect_refused("a.idx");
  }
}

TEST_F(TokenShardsDamageTest, AFileThatShrinksWhileItIsReadIsAnError) {
  const TokenShards shards = TokenShards::open(prefix_);
  std::filesystem::resize_file(folder_ / "a.bin", 4);
  Ids ids(4);
  expect_error(ExitCode::kBadInput, "a.bin ends at byte 4",
               [&] { shards.read_document(2, 0, ids); });
}

TEST_F(TokenShardsDamageTest, FilesOfAnotherPairAreRefused) {
  ShardWriter writer(folder_ / "b", {"tokenizer", 300, 0});
  writer.append(Ids{5, 6, 298, 0});
  writer.append(Ids{8, 0});
  writer.append(Ids{9, 10, 11, 0});
  writer.commit();
  write_text(folder_ / "a.bin", read_text(folder_ / "b.bin"));
  expect_refused("chunk 0");
  write_text(folder_ / "a.json", "{\"text\": \"a corpus\"}\n");
  expect_refused("a.json: \"format\" is missing");
}

TEST_F(TokenShardsDamageTest, OtherMagicsVersionsAndByteOrdersAreNamed) {
  std::filesystem::remove(folder_ / "a.json");
  write_text(folder_ / "a.idx", std::string("TNTIDX\0\0", 8) + idx_.substr(8));
  expect_refused("TNTIDX");
  write_text(folder_ / "a.idx", "PK" + idx_.substr(2));
  expect_refused("MMIDIDX");
  write_foreign(__builtin_bswap64(1), 8, 0, 1, arrays_of({}, {}, {0}), 0);
  expect_refused("big-endian");
  write_foreign(2, 8, 0, 1, arrays_of({}, {}, {0}), 0);
  expect_refused("version 2");
  for (const int code : {0, 6, 7, 9, 255}) {
    write_foreign(1, static_cast<std::uint8_t>(code), 1, 2, arrays_of({4}, {0}, {0, 1}), 16);
    expect_refused("dtype code");
  }
}

TEST_F(TokenShardsDamageTest, TheWidthOfTheIdsMustFitTheSizes) {
  write_foreign(1, 8, 1, 2, arrays_of({4}, {0}, {0, 1}), 8);
  EXPECT_NO_THROW(open_and_read());
  write_foreign(1, 4, 1, 2, arrays_of({4}, {0}, {0, 1}), 8);
  expect_refused(".bin has 2");
  write_foreign(1, 1, 1, 2, arrays_of({4}, {0}, {0, 1}), 8);
  expect_refused("describes 4 bytes");
}

TEST_F(TokenShardsDamageTest, InconsistentArraysAreRefused) {
  const auto refuse = [&](const std::vector<std::int32_t>& lengths,
                          const std::vector<std::int64_t>& offsets,
                          const std::vector<std::int64_t>& boundaries, std::string_view part) {
    write_foreign(1, 8, lengths.size(), boundaries.size(), arrays_of(lengths, offsets, boundaries),
                  12);
    expect_refused(part);
  };
  refuse({2, 4}, {0, 5}, {0, 1, 2}, "starts at byte 5");
  refuse({2, 4}, {2, 4}, {0, 1, 2}, "sequence 0 starts at byte 2");
  refuse({8, -2}, {0, 16}, {0, 1, 2}, "ends at token 8");
  refuse({-2, 8}, {0, -4}, {0, 1, 2}, "negative length -2");
  refuse({2, 4}, {0, 4}, {1, 1, 2}, "entry 0");
  refuse({2, 4}, {0, 4}, {0, 2, 1, 2}, "entry 2");
  refuse({2, 4}, {0, 4}, {0, 1}, "entry 1");
  refuse({2, 4}, {0, 4}, {0, 1, 3}, "entry 2");
  refuse({2, 4}, {0, 4}, {0, -1, 2}, "entry 1");
  refuse({2, 4}, {0, 4}, {}, "document index is empty");
}

TEST_F(TokenShardsDamageTest, HostileCountsAreRefusedBeforeAnythingIsAllocated) {
  for (const std::uint64_t huge :
       {std::uint64_t{1} << 31, std::uint64_t{1} << 61, ~std::uint64_t{0} / 12,
        ~std::uint64_t{0} / 8, ~std::uint64_t{0}}) {
    write_foreign(1, 8, huge, 2, arrays_of({4}, {0}, {0, 1}), 8);
    expect_refused("do not fit its size");
    write_foreign(1, 8, 1, huge, arrays_of({4}, {0}, {0, 1}), 8);
    expect_refused("do not fit its size");
  }
}

TEST_F(TokenShardsDamageTest, ASparseIndexOfManyEmptyDocumentsIsRefused) {
  constexpr std::uint64_t kBoundaries = std::uint64_t{1} << 36;
  write_foreign(1, 8, 1, kBoundaries, arrays_of({4}, {0}, {0}), 8);
  std::filesystem::resize_file(folder_ / "a.idx", 34 + 12 + 8 * kBoundaries);  // 512 GiB of zeros.
  expect_refused("1,048,576 of them are empty");
}

TEST_F(TokenShardsDamageTest, NegativeAndTooLargeIdsAreRefusedWithTheirPlace) {
  write_foreign(1, 4, 1, 2, arrays_of({2}, {0}, {0, 1}), 8);
  write_text(folder_ / "a.bin", std::string("\x05\0\0\0\xFF\xFF\xFF\xFF", 8));
  expect_refused("token 1 is -1");
  write_foreign(1, 5, 1, 2, arrays_of({1}, {0}, {0, 1}), 8);
  write_text(folder_ / "a.bin", std::string("\0\0\0\x80\0\0\0\0", 8));
  expect_refused("token 0 is 2147483648");
}

TEST_F(TokenShardsDamageTest, APairWithoutTokensIsRefused) {
  write_foreign(1, 8, 0, 1, arrays_of({}, {}, {0}), 0);
  expect_refused("holds no tokens");
  write_foreign(1, 8, 1, 2, arrays_of({0}, {0}, {0, 1}), 0);
  expect_refused("holds no tokens");
}

TEST_F(TokenShardsDamageTest, AFifoInPlaceOfAFileIsRefusedAndDoesNotHang) {
  std::filesystem::remove(folder_ / "a.bin");
  ASSERT_EQ(::mkfifo((folder_ / "a.bin").c_str(), 0600), 0);
  expect_refused("not a regular file");
}

TEST_F(TokenShardsDamageTest, VerifyComparesIdsAndDocumentEndsWithTheManifest) {
  // A manifest whose digests are right and whose claims are not, as a faulty writer would make.
  ShardManifest manifest = *TokenShards::open(prefix_).manifest();
  manifest.largest_id = 298;
  write_text(folder_ / "a.json", write_manifest(manifest));
  expect_error(ExitCode::kBadInput, "largest id is 299",
               [&] { TokenShards::open(prefix_).verify(); });
  manifest.largest_id = 299;
  manifest.eos = 11;
  write_text(folder_ / "a.json", write_manifest(manifest));
  expect_error(ExitCode::kBadInput, "document 0 does not end with id 11",
               [&] { TokenShards::open(prefix_).verify(); });
  manifest.vocab_size = 299;
  write_text(folder_ / "a.json", write_manifest(manifest));
  expect_refused("outside of the vocabulary of 299");
}

TEST(ShardManifestTest, ManyKeysAreRefusedInTheTimeThatReadingThemTakes) {
  std::string text = "{";
  for (int key = 0; key < 200'000; ++key) text += str("\"", key, "\":0,");
  text += "\"format\":0}";
  const std::clock_t start = std::clock();
  expect_error(ExitCode::kBadInput, "\"format\" is not a string",
               [&] { parse_manifest(text, "a.json"); });
  EXPECT_LT(std::clock() - start, 5 * CLOCKS_PER_SEC);  // Comparing all with all takes minutes.
}

}  // namespace
}  // namespace cloze
