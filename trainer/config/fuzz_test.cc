// Mutated configs never crash: they load, or they are errors with a place and a fix.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "parallel/base/random.h"
#include "trainer/config/config_testing.h"
#include "trainer/config/load.h"
#include "trainer/config/resolved_yaml.h"

namespace cloze {
namespace {

// A stream of small numbers.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) { key_.seed = seed; }
  std::size_t below(std::size_t bound) {
    return static_cast<std::size_t>(random_below(key_, index_++, bound));
  }

 private:
  RandomKey key_;
  std::uint64_t index_ = 0;
};

constexpr std::array<std::string_view, 44> kPieces = {"[",
                                                      "]",
                                                      "{",
                                                      "}",
                                                      ":",
                                                      ": ",
                                                      ",",
                                                      "\n",
                                                      "\n  ",
                                                      " ",
                                                      "- ",
                                                      "? ",
                                                      "&a ",
                                                      "*a",
                                                      "!",
                                                      "!!int ",
                                                      "|",
                                                      ">",
                                                      "#",
                                                      " #",
                                                      "'",
                                                      "\"",
                                                      "\\x",
                                                      "\\u12",
                                                      "%",
                                                      "---\n",
                                                      "...\n",
                                                      "\t",
                                                      "\r",
                                                      "@",
                                                      "`",
                                                      "~",
                                                      "<<: ",
                                                      "\xC3",
                                                      "\xED\xA0\x80",
                                                      "é",
                                                      "1e400",
                                                      "-",
                                                      "010",
                                                      ".inf",
                                                      "99999999999999999999",
                                                      "auto",
                                                      "no",
                                                      "[[[[[[[[[[[[[[[[[[[["};

std::string mutated(std::string text, Numbers& numbers) {
  const std::size_t edits = 1 + numbers.below(4);
  for (std::size_t edit = 0; edit < edits; ++edit) {
    const std::size_t at = numbers.below(text.size() + 1);
    switch (numbers.below(4)) {
      case 0:
        text.insert(at, kPieces[numbers.below(kPieces.size())]);
        break;
      case 1:
        text.erase(at, 1 + numbers.below(8));
        break;
      case 2: {
        const std::string part = text.substr(at, numbers.below(60));
        text.insert(numbers.below(text.size() + 1), part);
        break;
      }
      default:
        if (at < text.size()) text[at] = static_cast<char>(numbers.below(256));
        break;
    }
  }
  return text;
}

TEST(Fuzz, MutatedConfigsLoadOrAreErrors) {
  const std::string tiny = read_file(std::string(CLOZE_SOURCE_DIR) + "/configs/tiny.yaml", 1 << 20);
  Numbers numbers(1);
  int loaded = 0;
  for (int round = 0; round < 5000; ++round) {
    const std::string text = mutated(round % 2 == 0 ? tiny : valid_config(), numbers);
    try {
      const LoadedConfig config = load_config_text(text, "x.yaml", {});
      ++loaded;
      // What loads also round-trips.
      const LoadedConfig again = load_config_text(resolved_yaml(config.run), "y.yaml", {});
      ASSERT_EQ(config.run.SerializeAsString(), again.run.SerializeAsString()) << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage) << error.what() << "\n" << text;
      EXPECT_FALSE(error.fix().empty());
    }
  }
  EXPECT_GT(loaded, 100);
}

TEST(Fuzz, MutatedOverridesLoadOrAreErrors) {
  constexpr std::array<std::string_view, 6> kOverrides = {
      "optimizer.lr=1e-4",          "data.train=[{path: a, weight: 2}, b]",
      "parallel.stage_layers=auto", "schedule.warmup=2%",
      "run.name=\"a b\"",           "model={hidden_size: 64, head_dim: 16}"};
  Numbers numbers(2);
  for (int round = 0; round < 3000; ++round) {
    const std::string text =
        mutated(std::string(kOverrides[numbers.below(kOverrides.size())]), numbers);
    try {
      load_config_text(valid_config(), "x.yaml", {text});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage) << error.what() << "\n" << text;
    }
  }
}

TEST(Fuzz, RandomBytesAreErrors) {
  Numbers numbers(3);
  for (int round = 0; round < 2000; ++round) {
    std::string text(numbers.below(200), ' ');
    for (char& character : text) character = static_cast<char>(numbers.below(256));
    EXPECT_FALSE(find_problems_in_text(text, "x.yaml", {text}, 4).empty());
  }
}

}  // namespace
}  // namespace cloze
