// Holds the files to the rules of CONTRIBUTING.md that a program can check.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/architecture/source_files.h"

namespace cloze {
namespace {

namespace fs = std::filesystem;

constexpr int kLongestFile = 400;  // Lines.

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> all = read_sources(CLOZE_SOURCE_DIR);
  return all;
}

// "path:line" of every line that matches.
std::vector<std::string> places(const SourceFile& source, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    if (std::regex_search(source.lines[i], pattern)) {
      found.push_back(source.path + ":" + std::to_string(i + 1));
    }
  }
  return found;
}

TEST(RulesTest, NoFileIsLongerThanFourHundredLines) {
  for (const SourceFile& source : sources()) {
    if (source.path.ends_with(".txt") || source.path.ends_with(".json")) continue;
    EXPECT_LE(static_cast<int>(source.lines.size()), kLongestFile)
        << source.path << "\n  fix: one concept a file; give the second one its own";
  }
}

struct Home {
  const char* what;
  const char* pattern;
  std::vector<std::string> folders;  // Paths that may hold it begin with one of these.
};

// What comes from outside has one home each, so that it can be exchanged in one place.
TEST(RulesTest, ThirdPartyHeadersHaveHomes) {
  const std::vector<Home> homes = {
      {"Open MPI", R"(#include <mpi\.h>)", {"parallel/comm/", "tests/comm/", "tests/support/"}},
      {"NCCL", R"(#include <nccl\.h>)", {"parallel/device/"}},
      {"yaml-cpp", R"(#include <yaml-cpp/)", {"trainer/config/"}},
      {"CLI11", R"(#include <CLI/)", {"trainer/cli/command_line.cc"}},
      {"simdjson", R"(#include <simdjson)", {"data/", "trainer/report/"}},
      {"PCRE2", R"(#include <pcre2)", {"data/"}},
      {"zstd", R"(#include <zstd)", {"data/"}},
      {"zlib", R"(#include <zlib)", {"data/"}},
      {"xxHash", R"(#include <xxhash)", {"data/", "trainer/checkpoint/"}},
      {"OpenMP's functions", R"(#include <omp\.h>)", {"parallel/base/", "tests/support/"}},
      {"the CPU's vector instructions",
       R"(#include <immintrin)",
       {"parallel/kernels/", "parallel/base/", "trainer/checkpoint/"}},
      {"the environment",
       R"(\b(getenv|secure_getenv|environ)\b)",
       {"parallel/comm/groups.cc", "tests/"}},
  };
  for (const Home& home : homes) {
    const std::regex pattern(home.pattern);
    for (const SourceFile& source : sources()) {
      if (!is_code(source) || source.path == "tests/architecture/rules_test.cc") continue;
      const bool at_home = std::ranges::any_of(
          home.folders, [&](const std::string& folder) { return source.path.starts_with(folder); });
      if (at_home) continue;
      for (const std::string& place : places(source, pattern)) {
        ADD_FAILURE() << place << ": " << home.what << " is at home in " << home.folders.front();
      }
    }
  }
}

TEST(RulesTest, LinesThatNobodyWants) {
  // Split, so that this file does not match itself.
  const std::vector<std::pair<std::string, std::string>> unwanted = {
      {std::string("TO") + R"(DO(?!\(#\d+\)))", "a note needs a number, (#12), or goes"},
      {std::string("FIX") + "ME", "a note needs a number, or goes"},
      {std::string(R"(^\s*using )") + R"(namespace (?!std::(chrono_)?literals))",
       "name what is used"},
      {std::string("#pragma ") + "GCC diagnostic", "change the code, not the warning"},
  };
  for (const auto& [text, fix] : unwanted) {
    const std::regex pattern(text);
    for (const SourceFile& source : sources()) {
      if (!is_code(source)) continue;
      for (const std::string& place : places(source, pattern)) {
        ADD_FAILURE() << place << "\n  fix: " << fix;
      }
    }
  }
}

// The project speaks of itself and runs anywhere.
TEST(RulesTest, NoFileNamesTheMachineItWasWrittenOn) {
  const std::regex pattern(std::string("/(wo") + R"(rk|ro)" + R"(ot|home/\w+)/)" + "|helper" +
                           " session");
  for (const SourceFile& source : sources()) {
    for (const std::string& place : places(source, pattern)) ADD_FAILURE() << place;
  }
}

// x.h says what x.h, x.cc and x_test.cc are about; a file without a header says it itself.
TEST(RulesTest, EveryUnitOpensWithWhatItIs) {
  for (const SourceFile& source : sources()) {
    if (!is_code(source)) continue;
    ASSERT_FALSE(source.lines.empty()) << source.path << " is empty";
    const std::string unit = std::regex_replace(source.path, std::regex(R"((_test)?\.\w+$)"), "");
    const bool header = source.path.ends_with(".h");
    if (header || !fs::exists(fs::path(CLOZE_SOURCE_DIR) / (unit + ".h"))) {
      EXPECT_TRUE(source.lines.front().starts_with("//")) << source.path;
    }
    if (header) {
      EXPECT_EQ(places(source, std::regex("^#pragma once$")).size(), 1U) << source.path;
    }
  }
}

TEST(RulesTest, FileNamesSayWhatIsInside) {
  const std::regex empty_words("(^|[/_])(util|utils|helper|helpers|manager|common|misc)[_.]");
  for (const SourceFile& source : sources()) {
    EXPECT_FALSE(std::regex_search(source.path, empty_words)) << source.path;
  }
}

std::set<std::string> matches(const SourceFile& source, const std::regex& pattern) {
  std::set<std::string> found;
  for (const std::string& line : source.lines) {
    for (std::sregex_iterator match(line.begin(), line.end(), pattern), end; match != end;
         ++match) {
      found.insert((*match)[1]);
    }
  }
  return found;
}

// A page that names a file or a command that is not there is worse than no page.
TEST(RulesTest, PagesNameWhatExists) {
  const fs::path root(CLOZE_SOURCE_DIR);
  const std::regex link(R"(\]\(([^)#:\s]+)(#[^)]*)?\))");
  const std::regex file(R"((?:^|[\s`(])((?:scripts|configs|docs|tests|cmake)/[\w./-]*\w))");
  const std::regex command(R"((?:^|[\s`/])cloze ([a-z]+)\b(?=[^.,;]*(?:`|$| --| configs/|[A-Z])))");
  for (const SourceFile& page : sources()) {
    if (!page.path.ends_with(".md")) continue;
    for (const std::string& target : matches(page, link)) {
      EXPECT_TRUE(fs::exists((root / page.path).parent_path() / target))
          << page.path << " links to " << target;
    }
    if (page.path != "README.md" && page.path != "CONTRIBUTING.md") continue;
    for (const std::string& name : matches(page, file)) {
      EXPECT_TRUE(fs::exists(root / name)) << page.path << " names " << name;
    }
    for (const std::string& name : matches(page, command)) {
      EXPECT_TRUE(fs::exists(root / "trainer/cli" / (name + "_command.cc")))
          << page.path << " names cloze " << name;
    }
  }
}

// What somebody who comes to the project looks for first.
TEST(RulesTest, PagesOfTheHouseAreThere) {
  const fs::path root(CLOZE_SOURCE_DIR);
  for (const char* page :
       {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs/architecture.md",
        "docs/walk.md", "docs/formats.md", "docs/numerics.md", "docs/glossary.md",
        "docs/not-yet.md", "docs/decisions", ".clang-format", ".clang-tidy"}) {
    EXPECT_TRUE(fs::exists(root / page) && !fs::is_empty(root / page)) << page;
  }
  const SourceFile license = read_source(root, "LICENSE");
  EXPECT_TRUE(std::ranges::any_of(license.lines, [](const std::string& line) {
    return line.find("Apache License") != std::string::npos;
  }));
}

TEST(RulesTest, ScriptsCanBeRun) {
  for (const auto& entry : fs::directory_iterator(fs::path(CLOZE_SOURCE_DIR) / "scripts")) {
    if (!entry.is_regular_file() || entry.path().has_extension()) continue;
    const bool executable =
        (entry.status().permissions() & fs::perms::owner_exec) == fs::perms::owner_exec;
    EXPECT_TRUE(executable) << entry.path();
  }
}

}  // namespace
}  // namespace cloze
