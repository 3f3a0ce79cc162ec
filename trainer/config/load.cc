// Reads the sources in order, completes the Run, and judges it.
#include "trainer/config/load.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/config/fill.h"
#include "trainer/config/resolve.h"
#include "trainer/config/rule_list.h"
#include "trainer/config/rules.h"
#include "trainer/config/yaml_tree.h"

namespace cloze {
namespace {

// All that can be said of the sources; the problems are sorted by place.
Draft read_sources(const std::string& text, const std::string& file,
                   const std::vector<std::string>& overrides, std::optional<int> world_size) {
  Draft draft;
  draft.loaded.file = file;
  fill_from_file(text, file, draft);
  // A file that cannot be read as YAML has no keys; rules would only repeat that.
  const bool is_readable = draft.problems.empty() || !draft.loaded.places.empty();
  int number = 0;
  for (const std::string& override_text : overrides) {
    fill_from_override(override_text, ++number, draft);
  }
  if (is_readable) {
    resolve(draft);
    std::vector<Problem> violated = check_rules_but(draft.loaded, world_size, draft.broken);
    draft.problems.insert(draft.problems.end(), violated.begin(), violated.end());
  }
  std::stable_sort(
      draft.problems.begin(), draft.problems.end(), [](const Problem& a, const Problem& b) {
        const bool a_is_option = a.file == kOverrideFile;
        const bool b_is_option = b.file == kOverrideFile;
        return std::tie(a_is_option, a.line, a.column) < std::tie(b_is_option, b.line, b.column);
      });
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
  std::string place = problem.file;
  if (problem.line > 0) place += str(":", problem.line, ":", problem.column);
  return str(place, ": ", problem.what, "; ", problem.fix);
}

void throw_problems(const std::vector<Problem>& problems) {
  if (problems.empty()) return;
  if (problems.size() == 1) {
    const Problem& problem = problems.front();
    std::string place = problem.file;
    if (problem.line > 0) place += str(":", problem.line, ":", problem.column);
    fail(ExitCode::kUsage, str(place, ": ", problem.what), problem.fix);
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

std::vector<Problem> find_problems(const std::filesystem::path& path,
                                   const std::vector<std::string>& overrides,
                                   std::optional<int> world_size) {
  return find_problems_in_text(read_config_file(path), path.string(), overrides, world_size);
}

}  // namespace cloze
