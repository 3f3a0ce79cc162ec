// Files written are read back; files that are broken or hostile are refused with the reason.
#include "data/tokenizer_files.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/split_pattern.h"
#include "data/tokenizer.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

using nlohmann::json;

json golden_json() {
  std::ifstream file(std::filesystem::path(CLOZE_SOURCE_DIR) /
                     "tests/golden/tokenizer/glm/tokenizer.json");
  return json::parse(file);
}

class TokenizerFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              str("cloze_", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(std::string_view text) const {
    std::ofstream(folder_ / "tokenizer.json", std::ios::binary) << text;
  }

  TokenizerContent read_changed(const std::function<void(json&)>& change) const {
    json file = golden_json();
    change(file);
    write(file.dump());
    return read_tokenizer_files(folder_);
  }

  // The message must name the file and hold `reason`.
  void expect_refused(const std::string& reason) const {
    try {
      read_tokenizer_files(folder_);
      ADD_FAILURE() << "read, and should be refused: " << reason;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_NE(error.problem().find("tokenizer.json"), std::string::npos) << error.problem();
      EXPECT_NE(error.problem().find(reason), std::string::npos) << error.problem();
      EXPECT_FALSE(error.fix().empty());
    }
  }

  void expect_refused(const std::function<void(json&)>& change, const std::string& reason) const {
    json file = golden_json();
    change(file);
    write(file.dump());
    expect_refused(reason);
  }

  std::filesystem::path folder_;
};

json& split_of(json& file) { return file["pre_tokenizer"]["pretokenizers"][0]; }
json& byte_level_of(json& file) { return file["pre_tokenizer"]["pretokenizers"][1]; }
json& vocab_of(json& file) { return file["model"]["vocab"]; }
json& merges_of(json& file) { return file["model"]["merges"]; }

TEST_F(TokenizerFilesTest, WhatIsWrittenIsReadBack) {
  TokenizerContent content = read_changed([](json&) {});
  content.added_tokens.push_back({"<think>", 610, /*special=*/false, /*normalized=*/true});
  content.ignore_merges = false;
  content.split_pattern = R"(\d+|"\\")";
  const std::filesystem::path nested = folder_ / "a" / "b";
  write_tokenizer_files(nested, content);
  const TokenizerContent again = read_tokenizer_files(nested);
  EXPECT_EQ(again.pieces, content.pieces);
  EXPECT_EQ(again.added_tokens, content.added_tokens);
  EXPECT_EQ(again.ignore_merges, content.ignore_merges);
  EXPECT_EQ(again.split_pattern, content.split_pattern);
  EXPECT_EQ(again.merges.size(), content.merges.size());
  EXPECT_TRUE(std::filesystem::exists(nested / "tokenizer_config.json"));
}

TEST_F(TokenizerFilesTest, TheConfigNamesTheEndTokenAndEverySpecialToken) {
  write_tokenizer_files(folder_, read_changed([](json&) {}));
  std::ifstream file(folder_ / "tokenizer_config.json");
  const json config = json::parse(file);
  EXPECT_EQ(config.at("tokenizer_class"), "PreTrainedTokenizerFast");
  EXPECT_EQ(config.at("eos_token"), "<|endoftext|>");
  EXPECT_EQ(config.at("pad_token"), "<|endoftext|>");
  EXPECT_EQ(config.at("additional_special_tokens").size(), 10U);
  EXPECT_EQ(config.at("added_tokens_decoder").at("604").at("content"), "<sop>");
}

TEST_F(TokenizerFilesTest, ReadsMergesInBothForms) {
  const TokenizerContent pairs = read_changed([](json&) {});
  const TokenizerContent joint = read_changed([](json& file) {
    for (json& merge : merges_of(file)) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    }
  });
  ASSERT_EQ(pairs.merges.size(), 344U);
  ASSERT_EQ(joint.merges.size(), 344U);
  for (std::size_t rank = 0; rank < 344; ++rank) {
    EXPECT_EQ(joint.merges[rank].left, pairs.merges[rank].left);
    EXPECT_EQ(joint.merges[rank].right, pairs.merges[rank].right);
    EXPECT_EQ(joint.merges[rank].result, pairs.merges[rank].result);
  }
}

TEST_F(TokenizerFilesTest, ReadsAByteLevelPreTokenizerThatSplitsByItself) {
  const TokenizerContent content = read_changed([](json& file) {
    file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  });
  EXPECT_EQ(content.split_pattern, kByteLevelSplitPattern);
}

TEST_F(TokenizerFilesTest, ASpecialTokenMayStandInTheVocabularyToo) {
  const TokenizerContent content = read_changed([](json& file) { vocab_of(file)["<sop>"] = 604; });
  EXPECT_EQ(content.pieces.size(), 601U);
  EXPECT_EQ(Tokenizer::load(folder_).vocab_size(), 610);
}

TEST_F(TokenizerFilesTest, RefusesAMissingFile) {
  expect_refused("tokenizer.json");
  folder_ /= "nowhere";
  expect_refused("tokenizer.json");
}

TEST_F(TokenizerFilesTest, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "[1, 2", "{\"a\": \xFF}", "nul", "{} {}"}) {
    write(text);
    expect_refused("not valid JSON");
  }
  write("[]");
  expect_refused("not a JSON object");
  const std::string whole = golden_json().dump();
  write(std::string_view(whole).substr(0, whole.size() / 2));
  expect_refused("not valid JSON");
}

TEST_F(TokenizerFilesTest, RefusesDeepNestingAndHugeFiles) {
  write(std::string(1000000, '['));
  expect_refused("not valid JSON");
  std::string objects;
  for (int depth = 0; depth < 100000; ++depth) objects += "{\"a\":";
  write(objects);
  expect_refused("not valid JSON");
  write("{}");
  std::filesystem::resize_file(folder_ / "tokenizer.json", (std::uintmax_t{64} << 20) + 1);
  expect_refused("tokenizer.json");
}

TEST_F(TokenizerFilesTest, RefusesMissingSectionsAndWrongTypes) {
  for (const char* key : {"pre_tokenizer", "decoder", "model"}) {
    expect_refused([&](json& file) { file.erase(key); }, str("has no \"", key, "\""));
    expect_refused([&](json& file) { file[key] = 3; }, str("\"", key, "\" of the file is of"));
  }
  for (const char* key : {"vocab", "merges"}) {
    expect_refused([&](json& file) { file["model"].erase(key); }, str("has no \"", key, "\""));
    expect_refused([&](json& file) { file["model"][key] = "x"; }, str("\"", key, "\" of model"));
  }
  expect_refused([](json& file) { file["added_tokens"] = 1; }, "\"added_tokens\"");
  expect_refused([](json& file) { file["added_tokens"][0] = 1; }, "added_tokens is not an object");
  expect_refused([](json& file) { file["added_tokens"][0]["special"] = 1; }, "\"special\"");
  expect_refused([](json& file) { file["model"]["ignore_merges"] = "yes"; }, "\"ignore_merges\"");
}

TEST_F(TokenizerFilesTest, RefusesOtherKindsOfTokenizers) {
  expect_refused([](json& file) { file["model"]["type"] = "Unigram"; }, "not BPE");
  expect_refused([](json& file) { file["decoder"]["type"] = "WordPiece"; }, "not ByteLevel");
  expect_refused([](json& file) { file["normalizer"] = {{"type", "NFC"}}; }, "normalizer");
  expect_refused([](json& file) { file["model"]["dropout"] = 0.1; }, "\"dropout\"");
  expect_refused([](json& file) { file["model"]["end_of_word_suffix"] = "</w>"; },
                 "\"end_of_word_suffix\"");
  expect_refused([](json& file) { file["pre_tokenizer"]["type"] = "Whitespace"; },
                 "neither a Sequence nor ByteLevel");
  expect_refused([](json& file) { file["pre_tokenizer"]["pretokenizers"].clear(); },
                 "not a Split followed by ByteLevel");
  expect_refused([](json& file) { split_of(file)["behavior"] = "Removed"; }, "Isolated");
  expect_refused([](json& file) { split_of(file)["invert"] = true; }, "Isolated");
  expect_refused([](json& file) { split_of(file)["pattern"] = {{"String", " "}}; }, "\"Regex\"");
  expect_refused([](json& file) { byte_level_of(file)["use_regex"] = true; }, "splits twice");
  expect_refused([](json& file) { byte_level_of(file)["add_prefix_space"] = true; },
                 "prefix space");
  expect_refused([](json& file) { file["added_tokens"][0]["lstrip"] = true; }, "\"lstrip\"");
}

TEST_F(TokenizerFilesTest, RefusesIdsThatAreTakenNegativeOrAbsurd) {
  expect_refused([](json& file) { vocab_of(file)["!"] = 1; }, "have one id, 1");
  expect_refused([](json& file) { vocab_of(file)["!"] = -1; }, "the id of \"!\"");
  expect_refused([](json& file) { vocab_of(file)["!"] = 2147483647; }, "the id of \"!\"");
  expect_refused([](json& file) { vocab_of(file)["!"] = 1.5; }, "the id of \"!\"");
  expect_refused([](json& file) { vocab_of(file)["!"] = "0"; }, "the id of \"!\"");
  expect_refused([](json& file) { file["added_tokens"][1]["id"] = 600; }, "have one id, 600");
  expect_refused([](json& file) { file["added_tokens"][1]["id"] = 5; }, "have one id, 5");
  expect_refused([](json& file) { vocab_of(file)["<sop>"] = 700; }, "has id 700 in vocab");
}

TEST_F(TokenizerFilesTest, RefusesIdsThatAreMostlyHoles) {
  const auto with_last_id = [](std::int32_t id) {
    return [id](json& file) { vocab_of(file)["zzzz"] = id; };
  };
  EXPECT_EQ(read_changed(with_last_id(16'000)).pieces.back().id, 16'000);
  expect_refused(with_last_id(4'000'000), "its largest id is 4000000, for 611 tokens");
  expect_refused([](json& file) { file["added_tokens"][1]["id"] = 4'000'000; },
                 "its largest id is 4000000, for 610 tokens");
}

TEST_F(TokenizerFilesTest, RefusesPiecesThatStandTwiceOrAreMissingOrMisspelt) {
  std::string text = golden_json().dump();
  const std::string key = "\"!\":0";
  ASSERT_NE(text.find(key), std::string::npos);
  text.replace(text.find(key), key.size(), "\"!\":0,\"!\":1000");
  write(text);
  expect_refused("piece \"!\" stands twice");
  expect_refused(
      [](json& file) {
        vocab_of(file).erase("!");
        vocab_of(file)["!!!!"] = 0;
      },
      "vocab lacks \"!\"");
  expect_refused([](json& file) { vocab_of(file)["a b"] = 1000; }, "byte-level alphabet");
  expect_refused([](json& file) { vocab_of(file)[""] = 1000; }, "byte-level alphabet");
  expect_refused([](json& file) { file["added_tokens"][1]["content"] = ""; }, "is empty");
  expect_refused([](json& file) { file["added_tokens"][1]["content"] = "<sop>"; }, "stands twice");
}

TEST_F(TokenizerFilesTest, RefusesMergesOfAbsentPieces) {
  expect_refused([](json& file) { merges_of(file)[7] = {"Q", "QQ"}; }, "merge 7 names \"QQ\"");
  expect_refused([](json& file) { merges_of(file)[7] = {"Q", "Q"}; }, "merge 7 names \"QQ\"");
  expect_refused([](json& file) { merges_of(file)[7] = {"Q"}; }, "merge 7 is not a pair");
  expect_refused([](json& file) { merges_of(file)[7] = "QQ"; }, "merge 7 is not a pair");
  expect_refused([](json& file) { merges_of(file)[7] = "a b c"; }, "merge 7 names");
  expect_refused([](json& file) { merges_of(file)[7] = {1, 2}; }, "merge 7 is not a pair");
}

TEST_F(TokenizerFilesTest, APatternThatDoesNotCompileIsRefusedWhenLoaded) {
  json file = golden_json();
  split_of(file)["pattern"]["Regex"] = "(";
  write(file.dump());
  EXPECT_THROW(Tokenizer::load(folder_), Error);
}

TEST_F(TokenizerFilesTest, AFolderThatCannotBeMadeIsNamed) {
  write("a file, not a folder");
  try {
    write_tokenizer_files(folder_ / "tokenizer.json", {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kCannotWrite);
  }
}

}  // namespace
}  // namespace cloze
