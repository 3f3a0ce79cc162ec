// Training is held to Hugging Face's trainer by a golden, and to its own promises.
#include "data/bpe_trainer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "parallel/base/check.h"

namespace cloze {
namespace {

const std::filesystem::path& golden() {
  static const std::filesystem::path folder =
      std::filesystem::path(CLOZE_SOURCE_DIR) / "tests/golden/tokenizer";
  return folder;
}

std::string training_text() {
  std::ifstream file(golden() / "cases.json");
  return nlohmann::json::parse(file).at("training_text").get<std::string>();
}

bool same_merges(const std::vector<Merge>& a, const std::vector<Merge>& b) {
  return std::ranges::equal(a, b, [](const Merge& x, const Merge& y) {
    return x.left == y.left && x.right == y.right && x.result == y.result;
  });
}

void expect_usage(const std::function<void()>& work, std::string_view word) {
  try {
    work();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.problem().find(word), std::string::npos) << error.problem();
    EXPECT_FALSE(error.fix().empty());
  }
}

TEST(BpeTrainerTest, FindsTheMergesOfHuggingFacesTrainer) {
  const TokenizerContent theirs = read_tokenizer_files(golden() / "glm");
  BpeTrainer trainer;
  trainer.add(training_text());
  const TokenizerContent ours = trainer.train(610);
  EXPECT_EQ(ours.pieces, theirs.pieces);
  EXPECT_TRUE(same_merges(ours.merges, theirs.merges));
  EXPECT_EQ(ours.added_tokens, theirs.added_tokens);
  EXPECT_EQ(ours.split_pattern, theirs.split_pattern);
  EXPECT_EQ(ours.ignore_merges, theirs.ignore_merges);
}

TEST(BpeTrainerTest, FindsTheMergesOfHuggingFacesTrainerUnderAnotherPattern) {
  const TokenizerContent theirs = read_tokenizer_files(golden() / "foreign");
  BpeTrainer trainer(kByteLevelSplitPattern);
  trainer.add(training_text());
  const TokenizerContent ours = trainer.train(610);
  EXPECT_EQ(ours.pieces, theirs.pieces);
  EXPECT_TRUE(same_merges(ours.merges, theirs.merges));
}

TEST(BpeTrainerTest, DoesNotDependOnTheOrderOfTexts) {
  BpeTrainer forward;
  BpeTrainer backward;
  const std::vector<std::string> texts = {"the cat and the hat", "那只猫和那顶帽子，那只猫",
                                          "cats, hats, the end"};
  for (const std::string& text : texts) forward.add(text);
  for (auto text = texts.rbegin(); text != texts.rend(); ++text) backward.add(*text);
  const TokenizerContent first = forward.train(275);
  const TokenizerContent second = backward.train(275);
  EXPECT_EQ(first.pieces, second.pieces);
  EXPECT_TRUE(same_merges(first.merges, second.merges));
}

TEST(BpeTrainerTest, OfEqualCountsTakesThePairOfSmallerIds) {
  BpeTrainer trainer;
  trainer.add("zy zy ba ba");  // Blank-b, blank-z, ba, zy: ba has the smallest ids.
  EXPECT_EQ(trainer.train(267).pieces.back().bytes, "ba");
}

TEST(BpeTrainerTest, GivesTheSpecialTokensTheLastIdsInGlmsOrder) {
  BpeTrainer trainer;
  trainer.add("aaaa aaaa");
  const TokenizerContent content = trainer.train(268);
  EXPECT_EQ(content.pieces.size(), 258U);
  ASSERT_EQ(content.added_tokens.size(), 10U);
  EXPECT_EQ(content.added_tokens.front(), (AddedToken{.content = "<|endoftext|>", .id = 258}));
  EXPECT_EQ(content.added_tokens[4].content, "<sop>");
  EXPECT_EQ(content.added_tokens.back(), (AddedToken{.content = "<|observation|>", .id = 267}));
}

TEST(BpeTrainerTest, TheSmallestVocabularyHasNoMerges) {
  EXPECT_TRUE(BpeTrainer().train(BpeTrainer::smallest_vocab_size()).merges.empty());
}

TEST(BpeTrainerTest, TellsHowFarItIs) {
  BpeTrainer trainer;
  trainer.add(training_text());
  std::vector<std::int64_t> found;
  trainer.train(610, [&](std::int64_t done, std::int64_t wanted) {
    found.push_back(done);
    EXPECT_EQ(wanted, 344);
  });
  EXPECT_EQ(found, std::vector<std::int64_t>{256});
}

TEST(BpeTrainerTest, RefusesAVocabularyWithoutRoomForBytesAndSpecials) {
  for (const std::int64_t size : {-1, 0, 265}) {
    expect_usage([&] { BpeTrainer().train(size); }, "too small");
  }
}

TEST(BpeTrainerTest, RefusesTextsThatAreTooSmallForTheVocabulary) {
  BpeTrainer trainer;
  trainer.add("abc abc");
  expect_usage([&] { trainer.train(1000); }, "give only 26");
  expect_usage([] { BpeTrainer().train(267); }, "give only 266");
}

TEST(BpeTrainerTest, RefusesTextThatIsNotUtf8) {
  BpeTrainer trainer;
  try {
    trainer.add("good \xFF bad");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_NE(error.problem().find("byte 5"), std::string::npos);
  }
}

}  // namespace
}  // namespace cloze
