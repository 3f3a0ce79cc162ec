// Options of every kind, read from words or refused with a message that names them.
#include "trainer/cli/command_line.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

struct Values {
  std::string word = "a";
  std::filesystem::path path;
  std::optional<std::string> text;
  std::optional<int> number;
  std::int64_t bytes = 1;
  std::uint64_t seed = 0;
  double share = 0.5;
  std::vector<std::string> list;
  std::vector<std::filesystem::path> files;
  bool flag = false;
};

// What `words` set in a command line with two commands; which one was chosen is `chosen`.
struct Parsed {
  Values values;
  std::string chosen;
  bool has_action = false;
};

Parsed parsed(std::vector<std::string> words) {
  Parsed result;
  Values& values = result.values;
  CommandLine command_line("program", "Is tested");
  const Command root = command_line.root();
  root.require_subcommand();
  const Command first = root.subcommand("first", "The one with options");
  first.option("PATH", values.path, "A path").required();
  first.option("--word", values.word, "A word").one_of({"a", "b"}).default_shown();
  const Command either = first.alternatives("input", "One of them");
  either.option("--text", values.text, "A text");
  either.option("--number", values.number, "A number").range(-1, 5);
  first.option("--bytes", values.bytes, "A size").size_in_bytes().positive();
  const Option seed = first.option("--seed", values.seed, "A seed").non_negative();
  first.option("--share", values.share, "A share").up_to(1.0).needs(seed);
  first.option("--list", values.list, "A list").one_value_each();
  first.option("--files", values.files, "Files");
  first.flag("--flag", values.flag, "A flag").excludes(seed);
  first.runs([&result] {
    result.chosen = "first";
    return 0;
  });
  const Command family = root.subcommand("family", "The one of several");
  family.require_subcommand();
  family.subcommand("member", "One of them").runs([] { return 0; });
  root.subcommand("second", "The one without").runs([&result] {
    result.chosen = "second";
    return 0;
  });
  const Action action = command_line.parse(std::move(words));
  if (action) {
    EXPECT_EQ(action(), 0);
  }
  result.has_action = static_cast<bool>(action);
  return result;
}

void expect_refused(const std::vector<std::string>& words, const std::string& problem) {
  try {
    parsed(words);
    ADD_FAILURE() << "not refused: " << problem;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_EQ(error.problem(), problem);
    EXPECT_NE(error.fix().find("--help"), std::string::npos);
  }
}

TEST(CommandLineTest, EveryKindOfValueIsRead) {
  const Parsed result = parsed({"first", "--word", "b", "--number=-1", "--bytes", "5KB", "--seed",
                                "18446744073709551615", "--share", "0.25", "--list", "--x",
                                "--list=y", "here", "--files", "one", "two"});
  EXPECT_EQ(result.chosen, "first");
  const Values& values = result.values;
  EXPECT_EQ(values.word, "b");
  EXPECT_EQ(values.path, "here");
  EXPECT_EQ(values.text, std::nullopt);
  EXPECT_EQ(values.number, -1);
  EXPECT_EQ(values.bytes, 5000);
  EXPECT_EQ(values.seed, 18446744073709551615U);
  EXPECT_EQ(values.share, 0.25);
  EXPECT_EQ(values.list, (std::vector<std::string>{"--x", "y"}));
  EXPECT_EQ(values.files, (std::vector<std::filesystem::path>{"one", "two"}));
  EXPECT_FALSE(values.flag);
  EXPECT_TRUE(parsed({"first", "here", "--flag", "--text", ""}).values.flag);
  EXPECT_EQ(parsed({"second"}).chosen, "second");
  EXPECT_EQ(parsed({"first", "here", "--text", "t", "--bytes", "0x20"}).values.bytes, 32);
}

TEST(CommandLineTest, BadWordsAreRefusedByName) {
  const std::vector<std::string> good = {"first", "here", "--text", "t"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), good.begin(), good.end());
    return more;
  };
  EXPECT_TRUE(parsed(good).has_action);
  expect_refused({}, "A subcommand is required");
  expect_refused({"third", "here"}, "\"third\" is no command");
  expect_refused({"family"}, "A subcommand is required");
  expect_refused({"family", "stranger"}, "\"stranger\" is no command");
  expect_refused({"first", "--text", "t"}, "PATH is required");
  expect_refused(with({"more"}), "The following argument was not expected: more");
  expect_refused(with({"--word", "c"}), "--word: c not in {a,b}");
  expect_refused(with({"--number", "1"}),
                 "Exactly 1 option from [--text,--number] is required and 2 were given");
  expect_refused({"first", "here", "--number", "6"}, "--number: Value 6 not in range -1 to 5");
  expect_refused(with({"--bytes", "0"}), "--bytes: 0 is not above 0");
  expect_refused(with({"--seed", "-1"}), "--seed: -1 is not 0 or more");
  expect_refused(with({"--seed", "x"}), "--seed: x is not 0 or more");
  expect_refused(with({"--share", "0.5"}), "--share requires --seed");
  expect_refused(with({"--flag", "--seed", "1"}), "--seed excludes --flag");
}

TEST(CommandLineTest, HelpLeavesNothingToDo) {
  testing::internal::CaptureStdout();
  const bool has_action = parsed({"first", "--help"}).has_action;
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_FALSE(has_action);
  EXPECT_NE(help.find("The one with options"), std::string::npos);
  EXPECT_NE(help.find("--word"), std::string::npos);
  EXPECT_NE(help.find("=a"), std::string::npos) << help;
}

}  // namespace
}  // namespace cloze
