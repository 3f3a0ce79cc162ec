#include "data/corpus_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/shard_testing.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

std::string gzip(const std::string& text) {
  z_stream state = {};
  deflateInit2(&state, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, text.size()) + 64, '\0');
  std::string in = text;
  state.next_in = reinterpret_cast<Bytef*>(in.data());
  state.avail_in = static_cast<uInt>(in.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&state, Z_FINISH), Z_STREAM_END);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

std::string zstandard(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

// A record with its text, as a test writes it down.
struct Seen {
  std::size_t file;
  std::int64_t line;
  std::string text;
  bool too_long = false;
  bool operator==(const Seen&) const = default;
};

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << seen.file << ':' << seen.line << (seen.too_long ? " too long" : "") << " \""
       << seen.text.substr(0, 80) << '"';
}

std::vector<Seen> read_all(std::vector<std::filesystem::path> files,
                           const CorpusOptions& options = {}) {
  CorpusReader reader(std::move(files), options);
  std::vector<Seen> seen;
  CorpusChunk chunk;
  while (reader.next(chunk)) {
    for (const CorpusRecord& record : chunk.records) {
      seen.push_back(
          {record.file, record.line, std::string(chunk.text_of(record)), record.too_long});
    }
  }
  EXPECT_EQ(chunk.input_bytes, reader.total_bytes());
  return seen;
}

std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "{\"text\": \"line " + std::to_string(i) + "\"}\n";
  return text;
}

TEST(CorpusReaderTest, TheNameTellsTheFormat) {
  for (const char* name : {"a.jsonl", "a.json", "a.ndjson.gz", "x/a.jsonl.zst"}) {
    EXPECT_EQ(corpus_format_of(name), CorpusFormat::kJsonLines) << name;
  }
  for (const char* name : {"a.txt", "a", "a.gz", "a.txt.zst", "jsonl", "a.jsonl/b"}) {
    EXPECT_EQ(corpus_format_of(name), CorpusFormat::kText) << name;
  }
}

TEST(CorpusReaderTest, JsonLinesKeepTheirNumbersAndBlankOnesAreNone) {
  const ScratchFolder folder;
  write_text(folder / "a.jsonl", "{1}\n\n \t\r\n{4}\r\n{5}");
  EXPECT_EQ(read_all({folder / "a.jsonl"}),
            (std::vector<Seen>{{0, 1, "{1}"}, {0, 4, "{4}\r"}, {0, 5, "{5}"}}));
}

TEST(CorpusReaderTest, ATextFileIsOneDocumentByteForByte) {
  const ScratchFolder folder;
  write_text(folder / "a.txt", "one\r\ntwo\n\n");
  write_text(folder / "b.txt", "");
  EXPECT_EQ(read_all({folder / "a.txt", folder / "b.txt", folder / "a.txt"}),
            (std::vector<Seen>{{0, 1, "one\r\ntwo\n\n"}, {1, 1, ""}, {2, 1, "one\r\ntwo\n\n"}}));
}

TEST(CorpusReaderTest, ASeparatorLinePartsDocuments) {
  const ScratchFolder folder;
  CorpusOptions options;
  options.split_documents = "%";
  const auto split = [&](const std::string& text) {
    write_text(folder / "a", text);
    return read_all({folder / "a"}, options);
  };
  EXPECT_EQ(split("a\nb\n%\nc\n%\n"), (std::vector<Seen>{{0, 1, "a\nb"}, {0, 4, "c"}}));
  EXPECT_EQ(split("a\r\n%\r\nb\r\n"), (std::vector<Seen>{{0, 1, "a"}, {0, 3, "b"}}));
  EXPECT_EQ(split("a\n%"), (std::vector<Seen>{{0, 1, "a"}}));
  EXPECT_EQ(split("a\n%\nb"), (std::vector<Seen>{{0, 1, "a"}, {0, 3, "b"}}));
  EXPECT_EQ(split("%%\n %\n%x"), (std::vector<Seen>{{0, 1, "%%\n %\n%x"}}));
  EXPECT_EQ(split("%\n%\n"), (std::vector<Seen>{{0, 1, ""}, {0, 2, ""}}));
  EXPECT_EQ(split("\n\na\n\n%\n"), (std::vector<Seen>{{0, 1, "\n\na\n"}}));
  EXPECT_EQ(split(""), std::vector<Seen>{});
  options.split_documents = "";
  EXPECT_EQ(split("a\nb\n\nc\n"), (std::vector<Seen>{{0, 1, "a\nb"}, {0, 4, "c"}}));
}

TEST(CorpusReaderTest, AByteOrderMarkIsNoText) {
  const ScratchFolder folder;
  write_text(folder / "a.txt", "\xEF\xBB\xBFtext \xEF\xBB\xBF");
  write_text(folder / "b.jsonl", "\xEF\xBB\xBF{}\n{}\n");
  write_text(folder / "c.txt", "\xEF\xBB\xBF");
  write_text(folder / "d.txt", "\xEF\xBB");
  EXPECT_EQ(read_all({folder / "a.txt", folder / "b.jsonl", folder / "c.txt", folder / "d.txt"}),
            (std::vector<Seen>{{0, 1, "text \xEF\xBB\xBF"},
                               {1, 1, "{}"},
                               {1, 2, "{}"},
                               {2, 1, ""},
                               {3, 1, "\xEF\xBB"}}));
}

TEST(CorpusReaderTest, WhatIsTooLongIsPassedOverAndTheRestIsRead) {
  const ScratchFolder folder;
  CorpusOptions options;
  options.max_document_bytes = 1000;
  const std::string fits(1000, 'x');
  const std::string longer(1001, 'x');
  const std::string much_longer(3000000, 'x');
  write_text(folder / "a.jsonl", fits + "\n" + longer + "\n" + much_longer + "\n{}\n" + longer);
  EXPECT_EQ(read_all({folder / "a.jsonl"}, options),
            (std::vector<Seen>{
                {0, 1, fits}, {0, 2, "", true}, {0, 3, "", true}, {0, 4, "{}"}, {0, 5, "", true}}));
  write_text(folder / "a.txt", fits);
  write_text(folder / "b.txt", longer);
  write_text(folder / "c.txt", much_longer);
  EXPECT_EQ(read_all({folder / "a.txt", folder / "b.txt", folder / "c.txt"}, options),
            (std::vector<Seen>{{0, 1, fits}, {1, 1, "", true}, {2, 1, "", true}}));
  options.split_documents = "==";
  write_text(folder / "d.txt", fits + "\n==\n" + longer + "\n==\nab\n" + much_longer + "\n=\n==\n" +
                                   std::string(499, 'y') + "\n" + std::string(500, 'z') +
                                   "\n==\nend");
  EXPECT_EQ(read_all({folder / "d.txt"}, options),
            (std::vector<Seen>{{0, 1, fits},
                               {0, 3, "", true},
                               {0, 5, "", true},
                               {0, 9, std::string(499, 'y') + "\n" + std::string(500, 'z')},
                               {0, 12, "end"}}));
}

TEST(CorpusReaderTest, ChunksEndAtTheirSizeAndReadLikeOne) {
  const ScratchFolder folder;
  write_text(folder / "a.jsonl", numbered_lines(50000));
  CorpusOptions small;
  small.chunk_bytes = 100;
  const std::vector<Seen> whole = read_all({folder / "a.jsonl"});
  ASSERT_EQ(whole.size(), 50000U);
  EXPECT_EQ(whole[49999], (Seen{0, 50000, "{\"text\": \"line 49999\"}"}));
  EXPECT_EQ(read_all({folder / "a.jsonl"}, small), whole);
  CorpusReader reader({folder / "a.jsonl"}, small);
  CorpusChunk chunk;
  ASSERT_TRUE(reader.next(chunk));
  EXPECT_LT(chunk.records.size(), 10U);
}

TEST(CorpusReaderTest, CompressedFilesReadAsTheirText) {
  const ScratchFolder folder;
  const std::string text = numbered_lines(30000);
  write_text(folder / "plain.jsonl", text);
  const std::vector<Seen> wanted = read_all({folder / "plain.jsonl"});
  const std::string first = text.substr(0, 300001);
  const std::string second = text.substr(300001);
  write_text(folder / "a.jsonl.gz", gzip(text));
  write_text(folder / "b.jsonl.gz", gzip(first) + gzip("") + gzip(second));
  write_text(folder / "c.jsonl.zst", zstandard(text));
  write_text(folder / "d.jsonl.zst", zstandard(first) + zstandard("") + zstandard(second));
  for (const char* name : {"a.jsonl.gz", "b.jsonl.gz", "c.jsonl.zst", "d.jsonl.zst"}) {
    EXPECT_EQ(read_all({folder / name}), wanted) << name;
  }
  write_text(folder / "e.txt.gz", gzip("\xEF\xBB\xBFtext"));
  write_text(folder / "f.txt.zst", zstandard(""));
  EXPECT_EQ(read_all({folder / "e.txt.gz", folder / "f.txt.zst"}),
            (std::vector<Seen>{{0, 1, "text"}, {1, 1, ""}}));
}

TEST(CorpusReaderTest, OneHighlyCompressedLineStaysWithinTheLimit) {
  const ScratchFolder folder;
  CorpusOptions options;
  options.max_document_bytes = 1 << 20;
  const std::string text(std::size_t{64} << 20, 'a');
  write_text(folder / "a.jsonl.zst", zstandard(text + "\n{}\n"));
  write_text(folder / "b.jsonl.gz", gzip(text + "\n{}\n"));
  for (const char* name : {"a.jsonl.zst", "b.jsonl.gz"}) {
    EXPECT_EQ(read_all({folder / name}, options),
              (std::vector<Seen>{{0, 1, "", true}, {0, 2, "{}"}}));
  }
}

TEST(CorpusReaderTest, DamagedAndTruncatedCompressionIsRefused) {
  const ScratchFolder folder;
  const std::string text = numbered_lines(200);
  for (const auto& [name, bytes] :
       {std::pair{"a.jsonl.gz", gzip(text)}, std::pair{"a.jsonl.zst", zstandard(text)}}) {
    write_text(folder / name, bytes);
    const std::filesystem::path path = folder / name;
    for (std::size_t size = bytes.size(); size-- > 0;) {
      std::filesystem::resize_file(path, size);
      expect_error(ExitCode::kBadInput, "damaged near compressed byte", [&] { read_all({path}); });
    }
    write_text(path, bytes + "trailing");
    expect_error(ExitCode::kBadInput, "damaged", [&] { read_all({path}); });
    write_text(path, text);
    expect_error(ExitCode::kBadInput, "damaged", [&] { read_all({path}); });
  }
  // gzip's checksum finds every changed byte of the data.
  std::string bytes = gzip(text);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  write_text(folder / "b.jsonl.gz", bytes);
  expect_error(ExitCode::kBadInput, "damaged", [&] { read_all({folder / "b.jsonl.gz"}); });
}

TEST(CorpusReaderTest, AMissingFileIsSaidBeforeTheFirstIsRead) {
  const ScratchFolder folder;
  write_text(folder / "a.txt", "text");
  expect_error(ExitCode::kBadInput, "none.txt", [&] {
    CorpusReader({folder / "a.txt", folder / "none.txt"}, {});
  });
  expect_error(ExitCode::kBadInput, "not a regular file",
               [&] { CorpusReader({folder.path()}, {}); });
}

}  // namespace
}  // namespace cloze
