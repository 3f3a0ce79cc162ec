#include "trainer/cli/train_arguments.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cloze {
namespace {

TrainArguments parsed(std::vector<std::string> words) {
  CLI::App app;
  TrainArguments arguments;
  add_train_options(app, arguments);
  std::reverse(words.begin(), words.end());  // As CLI11 wants them.
  app.parse(words);
  return arguments;
}

TEST(TrainArgumentsTest, WordsReadBackToTheSameArguments) {
  const TrainArguments arguments{
      .config = "--odd name.yaml",
      .overrides = {"run.steps=3", "run.name=--a b=c", "data.train=[x, {path: y, weight: 2}]"},
      .resume = "strict",
      .device = "cuda",
      .allowed_changes = {"batch.global_size", "optimizer.lr"}};
  EXPECT_EQ(parsed(words_of(arguments)), arguments);
  const TrainArguments plain{.config = "a.yaml"};
  EXPECT_EQ(parsed(words_of(plain)), plain);
}

TEST(TrainArgumentsTest, BadWordsAreRefused) {
  EXPECT_THROW(parsed({}), CLI::ParseError);
  EXPECT_THROW(parsed({"a.yaml", "--resume", "maybe"}), CLI::ParseError);
  EXPECT_THROW(parsed({"a.yaml", "--device", "tpu"}), CLI::ParseError);
  EXPECT_THROW(parsed({"a.yaml", "b.yaml"}), CLI::ParseError);
}

}  // namespace
}  // namespace cloze
