#include "trainer/cli/train_arguments.h"

#include <gtest/gtest.h>

#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TrainArguments parsed(std::vector<std::string> words) {
  CommandLine command_line("train", "");
  TrainArguments arguments;
  add_train_options(command_line.root(), arguments);
  command_line.parse(std::move(words));
  return arguments;
}

TEST(TrainArgumentsTest, WordsReadBackToTheSameArguments) {
  const TrainArguments arguments{
      .config = "--odd name.yaml",
      .overrides = {"run.steps=3", "run.name=--a b=c", "data.train=[x, {path: y, weight: 2}]"},
      .resume = "strict",
      .device = "cuda",
      .share_gpus = true,
      .allowed_changes = {"batch.global_size", "optimizer.lr"}};
  EXPECT_EQ(parsed(words_of(arguments)), arguments);
  const TrainArguments plain{.config = "a.yaml"};
  EXPECT_EQ(parsed(words_of(plain)), plain);
}

TEST(TrainArgumentsTest, BadWordsAreRefused) {
  EXPECT_THROW(parsed({}), Error);
  EXPECT_THROW(parsed({"a.yaml", "--resume", "maybe"}), Error);
  EXPECT_THROW(parsed({"a.yaml", "--device", "tpu"}), Error);
  EXPECT_THROW(parsed({"a.yaml", "b.yaml"}), Error);
}

}  // namespace
}  // namespace cloze
