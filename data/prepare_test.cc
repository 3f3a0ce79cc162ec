#include "data/prepare.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/shard_testing.h"
#include "data/token_shards.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

constexpr std::int32_t kEos = 256;

// A byte is a token: the documents can be read back from the pair.
Encode make_byte_encode() {
  return [](std::string_view text, std::vector<std::int32_t>& ids) {
    for (const char byte : text) ids.push_back(static_cast<std::uint8_t>(byte));
  };
}

std::vector<std::string> documents_of(const std::filesystem::path& prefix) {
  const TokenShards shards = TokenShards::open(prefix);
  EXPECT_NO_THROW(shards.verify());
  std::vector<std::string> documents;
  for (std::int64_t document = 0; document < shards.num_documents(); ++document) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(shards.document_length(document)));
    shards.read_document(document, 0, ids);
    EXPECT_EQ(ids.back(), kEos);
    std::string text;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) text.push_back(static_cast<char>(ids[i]));
    documents.push_back(std::move(text));
  }
  return documents;
}

class PrepareTest : public testing::Test {
 protected:
  PrepareResult run(const std::vector<std::string>& inputs) {
    options_.inputs.clear();
    for (const std::string& name : inputs) options_.inputs.push_back(folder_ / name);
    options_.output = folder_ / "out/pair";
    notices_.clear();
    const PrepareObserver observer{[this](const std::string& line) { notices_.push_back(line); },
                                   [](const PrepareCounts&, std::int64_t) {}};
    return prepare(options_, {"bytes", 257, kEos}, make_byte_encode, observer);
  }

  // The one faulty record among good ones is refused with its place, or skipped and counted.
  void expect_fault(const std::string& name, const std::string& content, const std::string& place,
                    const std::string& what) {
    write_text(folder_ / name, content);
    write_text(folder_ / "good.jsonl", "{\"text\": \"good\"}\n");
    options_.on_error = OnError::kStop;
    const std::string problem = (folder_ / place).string() + ": ";
    expect_error(ExitCode::kBadInput, problem, [&] { run({"good.jsonl", name}); });
    expect_error(ExitCode::kBadInput, what, [&] { run({"good.jsonl", name}); });
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out/pair.idx"));
    EXPECT_TRUE(std::filesystem::is_empty(folder_ / "out"));
    options_.on_error = OnError::kSkip;
    const PrepareResult result = run({"good.jsonl", name, "good.jsonl"});
    EXPECT_EQ(result.counts.skipped, 1) << name;
    EXPECT_EQ(documents_of(folder_ / "out/pair").front(), "good");
    EXPECT_EQ(documents_of(folder_ / "out/pair").back(), "good");
    ASSERT_EQ(notices_.size(), 2U);  // The other one says that good.jsonl is there twice.
    EXPECT_TRUE(notices_[1].starts_with(problem + "skipped: ")) << notices_[1];
    std::filesystem::remove_all(folder_ / "out");
  }

  ScratchFolder folder_;
  PrepareOptions options_;
  std::vector<std::string> notices_;
};

TEST_F(PrepareTest, FilesBecomeDocumentsInTheirOrder) {
  write_text(folder_ / "b.txt", "a whole file\nof text\n");
  write_text(folder_ / "a.jsonl",
             "{\"id\": 1, \"text\": \"first\"}\n{\"text\": \"caf\\u00e9 \\ud83d\\ude00\"}\n");
  const PrepareResult result = run({"b.txt", "a.jsonl"});
  EXPECT_EQ(documents_of(folder_ / "out/pair"),
            (std::vector<std::string>{"a whole file\nof text\n", "first",
                                      "caf\xC3\xA9 \xF0\x9F\x98\x80"}));
  EXPECT_EQ(result.counts.documents, 3);
  EXPECT_EQ(result.counts.text_bytes, 21 + 5 + 10);
  EXPECT_EQ(result.counts.tokens, 21 + 5 + 10 + 3);
  EXPECT_EQ(result.counts.empty, 0);
  EXPECT_EQ(result.manifest.tokenizer_digest, "bytes");
  EXPECT_EQ(result.manifest.largest_id, kEos);
  EXPECT_TRUE(notices_.empty());
}

TEST_F(PrepareTest, TheBytesDoNotDependOnTheNumberOfWorkers) {
  std::string lines;
  std::uint32_t state = 1;
  for (int i = 0; i < 4000; ++i) {
    state = state * 1664525 + 1013904223;
    lines += "{\"text\": \"" + std::string(state >> 21, static_cast<char>('a' + i % 26)) + "\"}\n";
  }
  write_text(folder_ / "a.jsonl", lines);
  write_text(folder_ / "b.txt", lines);
  options_.corpus.chunk_bytes = 5000;
  std::vector<std::string> wanted;
  for (const int workers : {1, 2, 3, 8}) {
    options_.num_workers = workers;
    run({"a.jsonl", "b.txt", "a.jsonl"});
    std::vector<std::string> files;
    for (const char* ending : {".bin", ".idx", ".json"}) {
      files.push_back(read_text(folder_ / (std::string("out/pair") + ending)));
    }
    if (wanted.empty()) wanted = files;
    EXPECT_EQ(files, wanted) << workers << " workers";
  }
  options_.corpus.chunk_bytes = 1 << 19;
  run({"a.jsonl", "b.txt", "a.jsonl"});
  EXPECT_EQ(read_text(folder_ / "out/pair.json"), wanted[2]);
}

TEST_F(PrepareTest, EmptyDocumentsAreLeftOutAndCounted) {
  write_text(folder_ / "a.jsonl", "{\"text\": \"\"}\n\n{\"text\": \"x\"}\n{\"text\": \"\"}\n");
  write_text(folder_ / "b.txt", "");
  const PrepareResult result = run({"a.jsonl", "b.txt"});
  EXPECT_EQ(result.counts.empty, 3);
  EXPECT_EQ(documents_of(folder_ / "out/pair"), std::vector<std::string>{"x"});
}

TEST_F(PrepareTest, AnotherKeyCanHoldTheText) {
  options_.text_key = "content";
  write_text(folder_ / "a.jsonl", "{\"text\": 1, \"content\": \"x\"}\n");
  run({"a.jsonl"});
  EXPECT_EQ(documents_of(folder_ / "out/pair"), std::vector<std::string>{"x"});
}

TEST_F(PrepareTest, MalformedJsonLinesAreNamedByFileAndLine) {
  const std::string good = "{\"text\": \"x\"}\n";
  const auto fault = [&](const std::string& line, const std::string& what) {
    expect_fault("a.jsonl", good + "\n" + line + "\n" + good, "a.jsonl:3", what);
  };
  fault("{\"text\": \"x\"", "");
  fault("{\"text\": \"x}", "");
  fault("{\"text\": \"x\"} {}", "");
  fault("{\"text\": \"x\", \"other\": tru}", "");
  fault("{\"text\": \"a\tb\"}", "");
  fault("text", "");
  fault("[\"text\"]", "the line is a list, not an object");
  fault("\"text\"", "the line is a string, not an object");
  fault("{\"txt\": \"x\"}", "the key \"text\" is missing");
  fault("{\"a\": {\"text\": \"x\"}}", "the key \"text\" is missing");
  fault("{\"text\": 17}", "\"text\" is a number, not a string");
  fault("{\"text\": null}", "\"text\" is null, not a string");
  fault("{\"text\": [\"x\"]}", "\"text\" is a list, not a string");
  fault("{\"text\": \"x\", \"text\": \"y\"}", "the key \"text\" occurs twice");
  fault("{\"text\": \"x\", \"a\": " + std::string(10000, '[') + std::string(10000, ']') + "}", "");
}

TEST_F(PrepareTest, BadTextInJsonLinesIsNamedByFileAndLine) {
  const std::string good = "{\"text\": \"x\"}\n";
  const auto fault = [&](const std::string& text, const std::string& what) {
    expect_fault("a.jsonl", good + "{\"text\": \"ab" + text + "\"}\n", "a.jsonl:2", what);
  };
  fault("\x80", "");
  fault("\xC0\xAF", "");
  fault("\xED\xA0\x80", "");
  fault("\\ud800", "");
  fault("\\udc00", "");
  fault("\\ud800\\ud800", "");
  fault("\\u00zz", "");
  fault("\\u0000", "NUL character (byte 2 of the string)");
}

TEST_F(PrepareTest, BadTextFilesAreNamedByFileAndLineOfTheFault) {
  const auto fault = [&](const std::string& bytes, const std::string& what) {
    expect_fault("a.txt", "one\ntwo\nab" + bytes + "\nfour\n", "a.txt:3", what);
  };
  const std::string invalid = "not valid UTF-8 (byte 10 of the document)";
  fault("\x80", invalid);              // A continuation without a start.
  fault("\xC3", invalid);              // A start without continuation.
  fault("\xE2\x82", invalid);          // Cut short.
  fault("\xC0\xAF", invalid);          // Overlong '/'.
  fault("\xE0\x80\xAF", invalid);      // The same in three bytes.
  fault("\xF0\x80\x80\xAF", invalid);  // And in four.
  fault("\xED\xA0\x80", invalid);      // A surrogate.
  fault("\xF4\x90\x80\x80", invalid);  // Beyond U+10FFFF.
  fault("\xFF", invalid);
  fault(std::string(1, '\0'), "NUL character (byte 10 of the document)");
}

TEST_F(PrepareTest, FaultsOfSplitTextAreNamedByTheirOwnLine) {
  options_.corpus.split_documents = "%";
  expect_fault("a.txt", "good\n%\ntwo\n\xFF\n%\ngood\n", "a.txt:4", "byte 4 of the document");
}

TEST_F(PrepareTest, ATextThatIsTooLongIsAFault) {
  options_.corpus.max_document_bytes = 100;
  expect_fault("a.txt", std::string(101, 'x'), "a.txt:1", "the document has more than 100 bytes");
}

TEST_F(PrepareTest, ALongLineOfAHundredMegabytesIsAFaultInBoundedMemory) {
  const std::string good = "{\"text\": \"x\"}\n";
  options_.corpus.max_document_bytes = 1 << 16;
  expect_fault("a.jsonl", good + "{\"text\": \"" + std::string(100 << 20, 'x') + "\"}\n" + good,
               "a.jsonl:2", "the line has more than 65536 bytes");
}

TEST_F(PrepareTest, TheFirstFaultIsNamedWhateverTheWorkers) {
  std::string lines;
  for (int i = 1; i <= 3000; ++i) lines += i % 700 == 0 ? "{\n" : "{\"text\": \"some text\"}\n";
  write_text(folder_ / "a.jsonl", lines);
  options_.corpus.chunk_bytes = 200;
  for (const int workers : {1, 2, 8}) {
    options_.num_workers = workers;
    expect_error(ExitCode::kBadInput, "a.jsonl:700: ", [&] { run({"a.jsonl"}); });
  }
}

TEST_F(PrepareTest, AFileGivenTwiceIsReadTwiceAndSaid) {
  write_text(folder_ / "a.txt", "text");
  std::filesystem::create_symlink(folder_ / "a.txt", folder_ / "link.txt");
  run({"a.txt", "link.txt"});
  EXPECT_EQ(documents_of(folder_ / "out/pair"), (std::vector<std::string>{"text", "text"}));
  ASSERT_EQ(notices_.size(), 1U);
  EXPECT_NE(notices_[0].find("link.txt is given more than once"), std::string::npos);
}

TEST_F(PrepareTest, InputWithoutADocumentIsRefused) {
  write_text(folder_ / "a.jsonl", "{\"text\": \"\"}\n");
  expect_error(ExitCode::kBadInput, "no document in 1 file(s): 1 empty", [&] { run({"a.jsonl"}); });
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "out"));
}

TEST_F(PrepareTest, AnOutputThatIsAnInputIsRefused) {
  std::filesystem::create_directory(folder_ / "out");
  write_text(folder_ / "out/pair.json", "{\"text\": \"x\"}\n");
  expect_error(ExitCode::kUsage, "is a file of the output", [&] { run({"out/pair.json"}); });
  EXPECT_EQ(read_text(folder_ / "out/pair.json"), "{\"text\": \"x\"}\n");
}

TEST_F(PrepareTest, AMissingInputIsBadInputAndNothingIsMade) {
  expect_error(ExitCode::kBadInput, "none.txt", [&] { run({"none.txt"}); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(PrepareTest, AnEncoderThatFailsIsNamedWithTheDocument) {
  write_text(folder_ / "a.jsonl", "{\"text\": \"x\"}\n{\"text\": \"y\"}\n");
  options_.inputs = {folder_ / "a.jsonl"};
  options_.output = folder_ / "out/pair";
  const PrepareObserver observer{[](const std::string&) {},
                                 [](const PrepareCounts&, std::int64_t) {}};
  const EncodeFactory factory = []() -> Encode {
    return [](std::string_view text, std::vector<std::int32_t>& ids) {
      if (text == "y") fail(ExitCode::kBadInput, "no id for y", "add it");
      ids.push_back(1);
    };
  };
  expect_error(ExitCode::kBadInput, "a.jsonl:2: no id for y", [&] {
    prepare(options_, {"bytes", 257, kEos}, factory, observer);
  });
  const EncodeFactory outside = []() -> Encode {
    return [](std::string_view, std::vector<std::int32_t>& ids) { ids.push_back(257); };
  };
  expect_error(ExitCode::kBadInput, "the id 257, outside of the vocabulary of 257", [&] {
    prepare(options_, {"bytes", 257, kEos}, outside, observer);
  });
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "out"));
}

}  // namespace
}  // namespace cloze
