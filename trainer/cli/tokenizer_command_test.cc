// The tokenizer command from its arguments to its files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "data/tokenizer.h"
#include "parallel/base/check.h"
#include "trainer/cli/command.h"

namespace cloze {
namespace {

class TokenizerCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              str("cloze_command_", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }

  // Runs `arguments` and returns what it writes to the standard output.
  std::string run(const std::string& arguments) const {
    CommandLine command_line("cloze", "");
    add_tokenizer_command(command_line.root());
    std::istringstream words(arguments);
    const Action action = command_line.parse({std::istream_iterator<std::string>(words), {}});
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
      EXPECT_EQ(action(), 0);
    } catch (...) {
      testing::internal::GetCapturedStderr();
      testing::internal::GetCapturedStdout();
      throw;
    }
    testing::internal::GetCapturedStderr();
    return testing::internal::GetCapturedStdout();
  }

  void expect_error(const std::string& arguments, ExitCode code, const std::string& word) const {
    try {
      run(arguments);
      ADD_FAILURE() << "no error: " << arguments;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_NE(error.problem().find(word), std::string::npos) << error.problem();
    }
  }

  std::string train(const std::string& inputs, const std::string& more) const {
    return "tokenizer train --input " + inputs + " --output " + (folder_ / "out").string() + more;
  }

  std::filesystem::path folder_;
};

TEST_F(TokenizerCommandTest, TrainsFromTextAndJsonLinesAlike) {
  const std::string text = write("a.txt", "the cat, the hat, the cat");
  const std::string said = run(train(text, " --vocab-size 270"));
  const Tokenizer from_text = Tokenizer::load(folder_ / "out");
  EXPECT_NE(said.find("270 tokens"), std::string::npos) << said;
  EXPECT_NE(said.find(from_text.digest()), std::string::npos) << said;
  EXPECT_EQ(from_text.vocab_size(), 270);
  EXPECT_EQ(from_text.special("<|observation|>"), 269);

  const std::string lines = write("a.jsonl", R"({"body": "the cat, the hat, the cat", "n": 1})");
  run(train(lines, " --text-key body --vocab-size 270"));
  EXPECT_EQ(Tokenizer::load(folder_ / "out").digest(), from_text.digest());
}

TEST_F(TokenizerCommandTest, EncodePrintsALineOfIdsForEachFile) {
  const std::string text = write("a.txt", "the cat, the hat, the cat");
  run(train(text, " --vocab-size 266"));
  const std::string one = write("one", "!\"<sop>");
  const std::string two = write("two", "");
  const std::string encode =
      "tokenizer encode --tokenizer " + (folder_ / "out").string() + " --input " + one + " " + two;
  EXPECT_EQ(run(encode), "0 1 27 82 78 79 29\n\n");
  EXPECT_EQ(run(encode + " --parse-special"), "0 1 260\n\n");
}

TEST_F(TokenizerCommandTest, DecodePrintsTheBytesOfIds) {
  run(train(write("a.txt", "the cat, the hat, the cat"), " --vocab-size 266"));
  const std::string decode =
      "tokenizer decode --tokenizer " + (folder_ / "out").string() + " --input ";
  const std::string text = "Das Mädchen 床前\n\n <sop>\r\n";
  const std::string encode =
      "tokenizer encode --tokenizer " + (folder_ / "out").string() + " --input ";
  const std::string ids = write("ids", run(encode + write("text", text)));
  EXPECT_EQ(run(decode + ids), text);
  EXPECT_EQ(run(decode + ids + " " + ids), text + text) << "nothing stands between files";
  const std::string special = write("special", "\n0 \t1\n260  0");
  EXPECT_EQ(run(decode + special), "!\"<sop>!");
  EXPECT_EQ(run(decode + special + " --skip-special"), "!\"!");
  EXPECT_EQ(run(decode + write("empty", "")), "");
}

TEST_F(TokenizerCommandTest, IdsThatAreNoneAreNamed) {
  run(train(write("a.txt", "the cat, the hat, the cat"), " --vocab-size 266"));
  const std::string decode =
      "tokenizer decode --tokenizer " + (folder_ / "out").string() + " --input ";
  expect_error(decode + write("word", "1 two 3"), ExitCode::kBadInput, "\"two\" (byte 2)");
  expect_error(decode + write("half", "1 2x"), ExitCode::kBadInput, "half: \"2x\"");
  expect_error(decode + write("large", "99999999999"), ExitCode::kBadInput, "\"99999999999\"");
  expect_error(decode + write("strange", "1 266"), ExitCode::kBadInput, "266");
  expect_error(decode + write("negative", "-1"), ExitCode::kBadInput, "-1");
  expect_error(decode + (folder_ / "absent").string(), ExitCode::kBadInput, "absent");
}

TEST_F(TokenizerCommandTest, ASizeThatCannotBeIsAUsageErrorAndWritesNothing) {
  const std::string text = write("a.txt", "the cat, the hat, the cat");
  expect_error(train(text, " --vocab-size 100"), ExitCode::kUsage, "--vocab-size 100");
  expect_error(train(text, " --vocab-size 100000"), ExitCode::kUsage, "not 100000");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(TokenizerCommandTest, BadInputIsNamed) {
  const std::string sizes = " --vocab-size 270";
  expect_error(train((folder_ / "absent.txt").string(), sizes), ExitCode::kBadInput, "absent.txt");
  expect_error(train(write("bad.txt", "ab\xFF"), sizes), ExitCode::kBadInput, "bad.txt:1");
  expect_error(train(write("bad.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n"), sizes),
               ExitCode::kBadInput, "bad.jsonl:2");
  expect_error("tokenizer encode --tokenizer " + folder_.string() + " --input x",
               ExitCode::kBadInput, "tokenizer.json");
}

}  // namespace
}  // namespace cloze
