// Faults of configuration files: each is reported once, at its line and column, with a fix.
#include "trainer/config/load.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "parallel/base/check.h"
#include "trainer/config/config_testing.h"

namespace cloze {
namespace {

struct Case {
  const char* name;
  int replaced;  // Line of the valid config; 17 appends.
  std::string text;
  int line;
  int column;
  const char* what;
  const char* fix;
};

void PrintTo(const Case& bad, std::ostream* stream) { *stream << bad.name; }

class BadConfig : public testing::TestWithParam<Case> {};

TEST_P(BadConfig, IsReportedAtItsPlaceWithAFix) {
  const Case& bad = GetParam();
  const auto problems = find_problems_in_text(config_with(bad.replaced, bad.text), "x.yaml", {});
  std::string all;
  for (const Problem& problem : problems) all += text_of(problem) + "\n";
  ASSERT_EQ(problems.size(), 1U) << all;
  EXPECT_EQ(problems[0].file, "x.yaml");
  EXPECT_EQ(problems[0].line, bad.line) << all;
  EXPECT_EQ(problems[0].column, bad.column) << all;
  EXPECT_NE(problems[0].what.find(bad.what), std::string::npos) << all;
  EXPECT_NE(problems[0].fix.find(bad.fix), std::string::npos) << all;
}

std::string deep(int levels) {
  return "log: " + std::string(static_cast<std::size_t>(levels), '[') +
         std::string(static_cast<std::size_t>(levels), ']');
}

std::string deep_blocks(int levels) {
  std::string text;
  for (int level = 0; level < levels; ++level) {
    text += std::string(static_cast<std::size_t>(level), ' ') + "log:\n";
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Keys, BadConfig,
    testing::Values(
        Case{"typo", 3, "  stpes: 10", 3, 3, "unknown key 'run.stpes'", "did you mean run.steps?"},
        Case{"part", 6, "  hidden: 64", 6, 3, "unknown key", "did you mean model.hidden_size?"},
        Case{"section", 15, "optimiser:", 15, 1, "unknown section", "did you mean optimizer?"},
        Case{"elsewhere", 17, "log:\n  lr: 1", 18, 3, "unknown key 'log.lr'",
             "did you mean optimizer.lr?"},
        Case{"stranger", 17, "log:\n  zzzzzz: 1", 18, 3, "unknown key", "known here: interval"},
        Case{"doubled", 17, "  lr: 1e-4", 17, 3, "first at line 16, column 3", "keep one"},
        Case{"doubled_section", 17, "run:\n  seed: 1", 17, 1, "first at line 1, column 1", "keep"},
        Case{"no_value", 3, "  steps:", 3, 3, "run.steps: has no value", "give it one"},
        Case{"tilde", 3, "  steps: ~", 3, 3, "has no value", "give it one"},
        Case{"null", 3, "  steps: null", 3, 3, "has no value", "give it one"},
        Case{"empty_section", 17, "log:", 17, 1, "section 'log' is empty", "remove it"},
        Case{"section_no_map", 17, "log: 3", 17, 6, "no map of keys", "indented"},
        Case{"map_for_number", 3, "  steps: {a: 1}", 3, 10, "is a map", "run.steps: VALUE"},
        Case{"list_for_text", 2, "  directory: [a]", 2, 14, "is a list", "VALUE"},
        Case{"text_for_list", 12, "  train: runs/a", 12, 10, "is no list", "[runs/a]"},
        Case{"source_typo", 12, "  train: [{path: a, wieght: 2}]", 12, 21, "wieght", "weight?"},
        Case{"source_no_path", 12, "  train: [{weight: 2}]", 12, 11, "without a path", "path:"},
        Case{"source_zero", 12, "  train: [{path: a, weight: 0}]", 12, 29, "out of range",
             "greater than 0"},
        Case{"one_beta", 17, "  betas: [0.9]", 17, 10, "1 numbers; two", "[0.9, 0.95]"},
        Case{"big_beta", 17, "  betas: [0.9, 1]", 17, 16, "out of range", "less than 1"},
        Case{"enum_typo", 17, "  kind: adanw", 17, 9, "'adanw' is unknown", "did you mean adamw?"},
        Case{"enum_later", 17, "  kind: muon", 17, 9, "not supported yet", "adamw"},
        Case{"schedule_later", 17, "parallel:\n  schedule: zb-h1", 18, 13, "not supported yet",
             "gpipe, 1f1b"},
        Case{"enum_field_name", 17, "parallel:\n  schedule: one_f_one_b", 18, 13, "unknown",
             "1f1b"},
        Case{"context_later", 17, "parallel:\n  context: 2", 18, 12, "not supported yet", "1"},
        Case{"expert_later", 17, "parallel:\n  expert: 2", 18, 11, "not supported yet", "1"},
        Case{"virtual_later", 17, "parallel:\n  virtual_stages: 2", 18, 19, "not supported", "1"},
        Case{"async_later", 17, "checkpoint:\n  async: true", 18, 10, "not supported", "false"},
        Case{"trace_no_list", 17, "log:\n  trace: true", 18, 10, "is no list", "[10, 11]"},
        Case{"trace_range", 17, "log:\n  trace: 10-12", 18, 10, "is no list", "[10, 11]"},
        Case{"trace_text", 17, "log:\n  trace: [10, all]", 18, 15, "not a whole number", "digits"},
        Case{"trace_zero", 17, "log:\n  trace: [0]", 18, 11, "0 is out of range", "from 1"},
        Case{"trace_nested", 17, "log:\n  trace: [[1]]", 18, 11, "no number", "numbers alone"},
        Case{"flow_typo", 17, "log: {}\nvalidation: {}\nschedule: {kind: wdd, decay: 10%}", 19, 18,
             "unknown", "wsd"},
        Case{"moe_later", 4, "model:\n  family: moe", 5, 11, "not supported yet", "glm2021"},
        Case{"preset_typo", 4, "model:\n  preset: glm-10", 5, 3, "unknown", "glm-10b?"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Scalars, BadConfig,
    testing::Values(
        Case{"octal", 3, "  steps: 010", 3, 10, "begins with a zero", "without"},
        Case{"octal_double", 16, "  lr: 010", 16, 7, "begins with a zero", "without"},
        Case{"hex", 3, "  steps: 0x1", 3, 10, "not decimal", "decimal"},
        Case{"underscore", 3, "  steps: 1_000", 3, 10, "underscore", "digits alone"},
        Case{"suffix", 3, "  steps: 12abc", 3, 10, "not a whole number", "digits"},
        Case{"exponent", 3, "  steps: 1e3", 3, 10, "not a whole number", "write 1000"},
        Case{"plus", 3, "  steps: +5", 3, 10, "not a whole number", "digits"},
        Case{"negative", 3, "  steps: -1", 3, 10, "-1 is out of range", "from 1 to"},
        Case{"negative_seed", 3, "  steps: 10\n  seed: -1", 4, 9, "negative", "from 0"},
        Case{"big_seed", 3, "  steps: 10\n  seed: 18446744073709551616", 4, 9, "64 bits",
             "smaller"},
        Case{"quoted_number", 3, "  steps: \"10\"", 3, 10, "is a text", "remove the quotes"},
        Case{"infinity", 16, "  lr: .inf", 16, 7, "not a finite number", "decimal"},
        Case{"minus_infinity", 16, "  lr: -.inf", 16, 7, "not a finite number", "decimal"},
        Case{"nan", 16, "  lr: .nan", 16, 7, "not a finite number", "decimal"},
        Case{"overflow", 16, "  lr: 1e400", 16, 7, "does not fit in a double", "1e308"},
        Case{"underflow", 16, "  lr: 1e-400", 16, 7, "does not fit in a double", "1e308"},
        Case{"no_digit", 16, "  lr: .5", 16, 7, "no digit before", "write 0.5"},
        Case{"no_fraction", 16, "  lr: 1.", 16, 7, "not a number", "decimal"},
        Case{"negative_lr", 16, "  lr: -1e-3", 16, 7, "out of range", "greater than 0"},
        Case{"no_as_text", 2, "  directory: no", 2, 14, "not surely a text", "write \"no\""},
        Case{"number_as_text", 2, "  directory: 12", 2, 14, "number", "write \"12\""},
        Case{"date_as_text", 2, "  directory: 2024-01-01", 2, 14, "date", "write \"2024"},
        Case{"yes_as_bool", 17, "log:\n  tensorboard: yes", 18, 16, "truth value", "mean true?"},
        Case{"off_as_bool", 17, "log:\n  tensorboard: off", 18, 16, "truth value", "mean false?"},
        Case{"True_as_bool", 17, "log:\n  tensorboard: True", 18, 16, "truth value", "mean true?"},
        Case{"bool_quoted", 17, "log:\n  tensorboard: \"true\"", 18, 16, "text", "quotes"},
        Case{"empty_text", 2, "  directory: \"\"", 2, 14, "empty text", "write it out"},
        Case{"control_text", 2, "  directory: \"a\\0b\"", 2, 14, "control character", "without"},
        Case{"escaped_direction", 2, "  directory: \"a\\u202Eb\"", 2, 14, "invisible", "without"},
        Case{"escaped_line_end", 2, "  directory: \"a\\nb\"", 2, 14, "control", "without"},
        Case{"home", 2, "  directory: ~/runs", 2, 3, "begins with ~", "write the folder out"},
        Case{"variable", 11, "  tokenizer: $HOME/t", 11, 3, "begins with $", "write the folder"},
        Case{"empty_sources", 12, "  train: []", 12, 10, "empty list", "at least one"},
        Case{"threads", 3, "  steps: 10\n  threads: 0", 4, 12, "out of range", "4 or auto"},
        Case{"threads_word", 3, "  steps: 10\n  threads: all", 4, 12, "no number", "4 or auto"},
        Case{"share", 17, "schedule:\n  warmup: 101%", 18, 11, "no share", "0% to 100%"},
        Case{"share_text", 17, "schedule:\n  warmup: some", 18, 11, "no number", "2%"},
        Case{"share_quoted", 17, "schedule:\n  warmup: \"2%\"", 18, 11, "quotes", "2%"},
        Case{"huge_int32", 17, "parallel:\n  tensor: 4294967297", 18, 11, "out of range",
             "from 1 to"},
        Case{"zero_stage", 17, "parallel:\n  zero_stage: 2", 18, 15, "out of range", "0 to 1"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Yaml, BadConfig,
    testing::Values(
        Case{"anchor", 3, "  steps: &n 10", 3, 10, "an anchor", "remove"},
        Case{"map_anchor", 4, "model: &m", 4, 8, "an anchor", "remove"},
        Case{"alias", 3, "  steps: *n", 3, 10, "an alias", "write the value out"},
        Case{"merge", 17, "log:\n  <<: {interval: 3}", 18, 3, "merge key", "write the keys out"},
        Case{"tag", 3, "  steps: !!int 10", 3, 10, "a tag", "remove"},
        Case{"bare_tag", 3, "  steps: ! 10", 3, 10, "a tag", "remove"},
        Case{"binary", 2, "  directory: !!binary aGk=", 2, 14, "a tag", "remove"},
        Case{"second_document", 17, "---\nrun: {}", 17, 1, "second document", "one document"},
        Case{"block_scalar", 2, "  directory: |\n    runs/x", 2, 14, "block scalar", "one line"},
        Case{"folded", 2, "  directory: runs\n    more", 2, 14, "several lines", "one line"},
        Case{"depth_17", 17, deep(16), 17, 21, "deeper than 16", "levels"},
        Case{"depth_499", 17, deep(498), 17, 21, "deeper than 16", "levels"},
        Case{"depth_600", 17, deep(599), 17, 21, "deeper than 16", "levels"},
        Case{"depth_100000", 17, deep(100000), 17, 21, "deeper than 16", "levels"},
        Case{"deep_blocks", 17, deep_blocks(500), 33, 17, "deeper than 16", "levels"},
        Case{"tab", 3, "\tsteps: 10", 3, 1, "a tab", "spaces"},
        Case{"tab_behind_spaces", 3, "  \tsteps: 10", 3, 3, "a tab", "spaces"},
        Case{"nul", 2, std::string("  directory: a\0b", 16), 2, 15, "NUL", "remove"},
        Case{"control", 2, "  directory: a\x01", 2, 15, "control character", "remove"},
        Case{"lone_return", 2, "  directory: a\rb", 2, 15, "carriage return", "line feed"},
        Case{"bom", 1, "\xEF\xBB\xBFrun:", 1, 1, "byte order mark", "UTF-8"},
        Case{"latin1", 2, "  directory: \xE9t", 2, 14, "not UTF-8", "UTF-8"},
        Case{"overlong", 2, "  directory: \xC0\x80", 2, 14, "not UTF-8", "UTF-8"},
        Case{"surrogate", 2, "  directory: \xED\xA0\x80", 2, 14, "not UTF-8", "UTF-8"},
        Case{"next_line", 2,
             "  directory: a\xC2\x85"
             "b",
             2, 15, "invisible", "remove"},
        Case{"line_separator", 2,
             "  directory: a\xE2\x80\xA8"
             "b",
             2, 15, "invisible", "remove"},
        Case{"right_to_left", 2,
             "  directory: a\xE2\x80\xAE"
             "b",
             2, 15, "invisible", "remove"},
        Case{"isolate", 3, "  steps: 10 # \xE2\x81\xA7", 3, 15, "invisible", "remove"},
        Case{"bom_inside", 3, "  steps: 10 # \xEF\xBB\xBF", 3, 15, "invisible", "remove"},
        Case{"cut_character", 2, "  directory: \xE4\xBD", 2, 14, "not UTF-8", "UTF-8"},
        Case{"colon", 2, "  directory: a: b", 2, 15, "colon", "quotes"},
        Case{"open_list", 12, "  train: [runs/a", 12, 11, "several lines", "bracket"},
        Case{"open_quote", 2, "  directory: \"a", 2, 14, "quote that is not closed", "close"},
        Case{"quote_over_lines", 2, "  directory: 'it''s\n    x'", 2, 14, "not closed", "close"},
        Case{"open_map", 17, "log: {interval: 3", 18, 1, "not closed", "[ and {"},
        Case{"list_key", 17, "? [a]\n: b", 17, 3, "as a key", "name"}),
    [](const auto& info) { return info.param.name; });

// Columns count characters, not bytes.
TEST(Columns, CountCharacters) {
  const auto problems = find_problems_in_text(
      config_with(12, "  train: [{path: 语料/训练, weight: no}]"), "x.yaml", {});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].column, 33);
}

struct Whole {
  const char* name;
  std::string text;
  const char* what;
};
void PrintTo(const Whole& whole, std::ostream* stream) { *stream << whole.name; }

class BadText : public testing::TestWithParam<Whole> {};

TEST_P(BadText, IsOneProblem) {
  const auto problems = find_problems_in_text(GetParam().text, "x.yaml", {});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].what.find(GetParam().what), std::string::npos) << text_of(problems[0]);
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadText,
    testing::Values(Whole{"empty", "", "empty"}, Whole{"comment", "# nothing\n", "empty"},
                    Whole{"null", "~\n", "empty"}, Whole{"list", "- a\n", "no map"},
                    Whole{"scalar", "words\n", "no map"},
                    Whole{"large", std::string((1 << 20) + 1, '#'), "more than 1048576"},
                    Whole{"many_keys",
                          [] {
                            std::string text;
                            for (int i = 0; i < 50000; ++i)
                              text += "k" + std::to_string(i) + ": 1\n";
                            return text;
                          }(),
                          "more than"}),
    [](const auto& info) { return info.param.name; });

TEST(LoadConfig, ListsAllProblemsAtOnce) {
  try {
    load_config_text(config_with(3, "  stpes: 10\n  seed: -1\n  threads: x"), "x.yaml",
                     {"optimizer.lr=fast"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    for (const char* part : {"4 problems", "x.yaml:3:3: ", "x.yaml:4:9: ", "x.yaml:5:12: ",
                             "--set:1:14: optimizer.lr"}) {
      EXPECT_NE(error.problem().find(part), std::string::npos) << part << "\n" << error.problem();
    }
  }
}

std::string places_in(const std::string& text) {
  std::string places;
  for (const Problem& problem : find_problems_in_text(text, "x.yaml", {})) {
    places += str(problem.line, ":", problem.column, " ", problem.what.substr(0, 22), "\n");
  }
  return places;
}

TEST(LoadConfig, WhatYamlHasAndAConfigHasNotIsListedWithTheRest) {
  EXPECT_EQ(places_in("run: {directory: &d runs/x, stpes: 10}\n"
                      "model:\n"
                      "  hidden_size: !!int 64\n"
                      "  num_hidden_layers: *d\n"
                      "  vocab_size: 512 # \xFF\xFF t \xFF\n"
                      "data:\n"
                      "  tokenizer: |\n"
                      "    t\n"
                      "  train: [a, &b b]\n"
                      "batch: {global_size: 0}\n"
                      "log: &l [*l]\n"),
            "1:18 an anchor (&name)\n"
            "1:29 unknown key 'run.stpes\n"
            "2:1 missing key model.num_\n"
            "2:1 missing key model.inte\n"
            "3:16 a tag (!name)\n"
            "4:22 an alias (*name)\n"
            "5:21 a byte that is not UTF\n"
            "5:26 a byte that is not UTF\n"
            "7:14 a block scalar (| or >\n"
            "9:14 an anchor (&name)\n"
            "10:22 batch.global_size: 0 i\n"
            "11:6 an anchor (&name)\n"
            "11:10 an alias (*name)\n");
}

// What stands before the place at which reading stops is judged; that something is missing, or does
// not fit together, is not said of half a file.
TEST(LoadConfig, TheBeginningOfATextThatCannotBeReadIsJudged) {
  EXPECT_EQ(places_in("run: {stpes: 10}\nlog:\n  intervall: 3\n  trace: [1, [2\n"),
            "1:7 unknown key 'run.stpes\n"
            "3:3 unknown key 'log.inter\n"
            "4:14 a map or list as a key\n");
  EXPECT_EQ(places_in("run: {steps: 010}\n---\nlog: {}\n"),
            "1:14 run.steps: '010' begin\n"
            "2:1 a second document begi\n");
  EXPECT_EQ(places_in("run:\n\tsteps: 1\n\tseed: \x01\n"),
            "2:1 a tab in the indentati\n"
            "3:1 a tab in the indentati\n"
            "3:8 a control character\n");
}

TEST(LoadConfig, MissingFileOrFolderIsAUsageError) {
  for (const char* path : {"/nonexistent/a b/é.yaml", "/"}) {
    try {
      load_config(path, {});
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
    }
  }
}

TEST(LoadConfig, ReadsAFileWhosePathHasSpacesAndOtherScripts) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "a b 语料";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "x y.yaml") << valid_config();
  EXPECT_EQ(load_config(folder / "x y.yaml", {}).run.run().steps(), 10);
  std::filesystem::remove_all(folder);
}

TEST(LoadConfig, MissingKeysAreNamed) {
  const auto problems = find_problems_in_text("run:\n  seed: 1\n", "x.yaml", {});
  std::string all;
  for (const Problem& problem : problems) all += text_of(problem) + "\n";
  for (const char* key :
       {"run.directory", "run.steps", "model.num_hidden_layers", "model.hidden_size",
        "model.num_attention_heads", "model.intermediate_size", "model.vocab_size",
        "data.tokenizer", "data.train"}) {
    EXPECT_NE(all.find(str("x.yaml:1:1: missing key ", key, ";")), std::string::npos) << all;
  }
  EXPECT_EQ(problems.size(), 9U) << all;
}

TEST(LoadConfig, AMissingKeyIsReportedAtItsSection) {
  const auto problems = find_problems_in_text(config_with(9, ""), "x.yaml", {"run.seed=3"});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_TRUE(text_of(problems[0]).starts_with("x.yaml:4:1: missing key model.vocab_size; "))
      << text_of(problems[0]);
}

// A word as long as the file would bury what is wrong with it.
TEST(LoadConfig, LongWordsAreCutInMessages) {
  std::string word;
  while (word.size() < 100000) word += "语";
  for (const std::string& text :
       {config_with(3, "  " + word + ": 10"), config_with(3, "  steps: " + word),
        config_with(17, "  kind: " + word), config_with(17, word + ": 3")}) {
    const auto problems = find_problems_in_text(text, "x.yaml", {});
    ASSERT_FALSE(problems.empty());
    for (const Problem& problem : problems) {
      EXPECT_LT(text_of(problem).size(), 2500U);
      EXPECT_GT(problem.line, 0);
    }
  }
}

TEST(LoadConfig, LineEndsOfAnyKindAreRead) {
  std::string text = valid_config();
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\r\n");
  }
  EXPECT_EQ(load_config_text(text, "x.yaml", {}).run.optimizer().lr(), 3e-4);
}

TEST(LoadConfig, EverySpecialFormIsRead) {
  const LoadedConfig loaded =
      load_config_text(config_with(17,
                                   "  betas: [0.8, 0.9]\n"
                                   "schedule: {warmup: 2.5%, decay: 4, kind: linear}\n"
                                   "parallel: {pipeline: 2, stage_layers: [3, 1], schedule: 1f1b}\n"
                                   "validation: {interval: 5}"),
                       "x.yaml",
                       {"data.validation=[{path: runs/v}, runs/w]", "run.threads=3",
                        "run.name=\"no\"", "run.seed=18446744073709551615"});
  const config::Run& run = loaded.run;
  EXPECT_EQ(run.optimizer().betas(0), 0.8);
  EXPECT_EQ(run.schedule().warmup(), "2.5%");
  EXPECT_EQ(run.schedule().decay(), "4");
  EXPECT_EQ(run.parallel().stage_layers(0), 3);
  EXPECT_EQ(run.parallel().schedule(), config::Parallel::one_f_one_b);
  EXPECT_EQ(run.data().validation(0).path(), "runs/v");
  EXPECT_EQ(run.data().validation(1).path(), "runs/w");
  EXPECT_EQ(run.data().validation(1).weight(), 1);
  EXPECT_EQ(run.run().threads(), "3");
  EXPECT_EQ(run.run().name(), "no");
  EXPECT_EQ(run.run().seed(), 18446744073709551615U);
}

}  // namespace
}  // namespace cloze
