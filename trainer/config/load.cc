// Reads the sources in order, completes the Run, and judges it.
#include "trainer/config/load.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/config/fill.h"
#include "trainer/config/resolve.h"
#include "trainer/config/rules.h"
#include "trainer/config/yaml_bytes.h"
#include "trainer/config/yaml_tree.h"

namespace cloze {
namespace {

// "file:line:column"; what is about the whole file stands at its beginning.
std::string place_of(const Problem& problem) {
  return str(problem.file, ":", std::max(problem.line, 1), ":", std::max(problem.column, 1));
}

// A message repeats words of the file, and a word may be as long as the file.
std::string shortened(const std::string& text) {
  constexpr std::size_t kLongest = 1000;
  constexpr std::size_t kEnd = 100;  // Kept of the end: what the word was.
  if (text.size() <= kLongest) return text;
  std::size_t cut = kLongest - kEnd;
  while (cut > 0 && utf8_length(text, cut) == 0) --cut;
  std::size_t rest = text.size() - kEnd;
  while (rest < text.size() && utf8_length(text, rest) == 0) ++rest;
  return str(text.substr(0, cut), " ... ", text.substr(rest));
}

// All that can be said of the sources; the problems are sorted by place.
Draft read_sources(const std::string& text, const std::string& file,
                   const std::vector<std::string>& overrides, std::optional<int> world_size) {
  Draft draft;
  draft.loaded.file = file;
  fill_from_file(text, file, draft);
  int number = 0;
  for (const std::string& override_text : overrides) {
    fill_from_override(override_text, ++number, draft);
  }
  if (draft.is_whole) {
    resolve(draft);
    std::vector<Problem> violated = check_rules(draft.loaded, world_size, draft.broken);
    draft.problems.insert(draft.problems.end(), violated.begin(), violated.end());
  }
  std::stable_sort(
      draft.problems.begin(), draft.problems.end(), [](const Problem& a, const Problem& b) {
        const bool a_is_option = a.file == kOverrideFile;
        const bool b_is_option = b.file == kOverrideFile;
        return std::tie(a_is_option, a.line, a.column) < std::tie(b_is_option, b.line, b.column);
      });
  for (Problem& problem : draft.problems) {
    problem.what = shortened(problem.what);
    problem.fix = shortened(problem.fix);
  }
  return draft;
}

std::string read_config_file(const std::filesystem::path& path) {
  std::error_code error;
  CLOZE_REQUIRE(std::filesystem::exists(path, error), ExitCode::kUsage,
                str("there is no config ", path.string()), "check the path; configs/ has examples");
  CLOZE_REQUIRE(std::filesystem::is_regular_file(path, error), ExitCode::kUsage,
                str(path.string(), " is no file"), "name a YAML file");
  const auto size = std::filesystem::file_size(path, error);
  CLOZE_REQUIRE(
      !error && size <= kLargestConfigBytes, ExitCode::kUsage,
      str(path.string(), ":1:1: the file has ", size, " bytes, more than ", kLargestConfigBytes),
      "a config has a few thousand bytes; is this the right file?");
  return read_file(path, static_cast<std::int64_t>(kLargestConfigBytes));
}

}  // namespace

std::string text_of(const Problem& problem) {
  return str(place_of(problem), ": ", problem.what, "; ", problem.fix);
}

void throw_problems(const std::vector<Problem>& problems) {
  if (problems.empty()) return;
  if (problems.size() == 1) {
    const Problem& problem = problems.front();
    fail(ExitCode::kUsage, str(place_of(problem), ": ", problem.what), problem.fix);
  }
  std::string text = str(problems.size(), " problems in the config");
  for (const Problem& problem : problems) text += "\n  " + text_of(problem);
  fail(ExitCode::kUsage, text, "correct them; cloze config check CONFIG lists them again");
}

LoadedConfig load_config_text(const std::string& text, const std::string& file,
                              const std::vector<std::string>& overrides) {
  Draft draft = read_sources(text, file, overrides, std::nullopt);
  throw_problems(draft.problems);
  return std::move(draft.loaded);
}

LoadedConfig load_config(const std::filesystem::path& path,
                         const std::vector<std::string>& overrides) {
  return load_config_text(read_config_file(path), path.string(), overrides);
}

std::vector<Problem> find_problems_in_text(const std::string& text, const std::string& file,
                                           const std::vector<std::string>& overrides,
                                           std::optional<int> world_size) {
  return read_sources(text, file, overrides, world_size).problems;
}

CheckedConfig check_config(const std::filesystem::path& path,
                           const std::vector<std::string>& overrides,
                           std::optional<int> world_size) {
  Draft draft = read_sources(read_config_file(path), path.string(), overrides, world_size);
  return {std::move(draft.loaded), std::move(draft.problems)};
}

}  // namespace cloze
