#include "trainer/checkpoint/checkpoint_directory.h"

#include <algorithm>
#include <functional>
#include <system_error>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/manifest.h"

namespace cloze {
namespace {

// The step that `latest` names; nothing when it is missing. Anything else it holds is a warning.
std::optional<std::int64_t> latest_step(const std::filesystem::path& directory,
                                        std::vector<std::string>& warnings) {
  const std::filesystem::path path = directory / kLatestName;
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return std::nullopt;
  std::string text;
  try {
    text = read_file(path, 256);
  } catch (const Error& problem) {
    warnings.push_back(problem.problem());
    return std::nullopt;
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const std::optional<std::int64_t> step = step_of_folder(text);
  if (!step) warnings.push_back(str(path.string(), " names no step; the folders are searched"));
  return step;
}

void check(const std::filesystem::path& folder, CheckDepth depth,
           std::vector<std::string>& warnings) {
  const Checkpoint opened = Checkpoint::open(folder);
  if (depth == CheckDepth::kEverything) opened.verify();
  warnings.insert(warnings.end(), opened.warnings().begin(), opened.warnings().end());
}

// The step folder that `path` stands for; nothing when it stands for none.
std::optional<std::filesystem::path> find_checkpoint(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::nullopt;
  std::filesystem::path clean = path;
  if (clean.filename().empty()) clean = clean.parent_path();  // A trailing slash.
  if (std::filesystem::exists(clean / kManifestName, error) ||
      step_of_folder(clean.filename().string())) {
    return clean;
  }
  for (const std::filesystem::path& directory : {clean, clean / "checkpoints"}) {
    const std::vector<std::int64_t> steps = committed_steps(directory);
    if (!steps.empty()) return directory / step_folder_name(steps.front());
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::int64_t> committed_steps(const std::filesystem::path& directory) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return steps;
  std::filesystem::directory_iterator entries(directory, error);
  CLOZE_REQUIRE(!error, ExitCode::kBadInput,
                str("cannot list ", directory.string(), ": ", error.message()),
                "check that it is a folder and can be read");
  for (const std::filesystem::directory_entry& entry : entries) {
    const std::optional<std::int64_t> step = step_of_folder(entry.path().filename().string());
    if (step && entry.symlink_status(error).type() == std::filesystem::file_type::directory) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end(), std::greater<>());
  return steps;
}

bool is_checkpoint(const std::filesystem::path& path) { return find_checkpoint(path).has_value(); }

std::filesystem::path resolve_checkpoint(const std::filesystem::path& path) {
  const std::optional<std::filesystem::path> found = find_checkpoint(path);
  CLOZE_REQUIRE(found.has_value(), ExitCode::kBadInput, str("no checkpoint is in ", path.string()),
                "name a step folder, a folder of checkpoints or a run's folder");
  return *found;
}

std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& directory,
                                                       ResumeMode mode,
                                                       std::vector<std::string>& warnings,
                                                       CheckDepth depth, std::int64_t below) {
  const std::vector<std::int64_t> all = committed_steps(directory);
  const std::optional<std::int64_t> latest = latest_step(directory, warnings);
  const bool latest_is_missing = latest && std::find(all.begin(), all.end(), *latest) == all.end();
  if (mode == ResumeMode::kStrict) {
    CLOZE_REQUIRE(!latest_is_missing, ExitCode::kBadInput,
                  str(directory.string(), ": the newest checkpoint, ", step_folder_name(*latest),
                      ", is missing"),
                  "bring it back, or resume with --resume auto");
    CLOZE_REQUIRE(!all.empty() && all.front() < below, ExitCode::kBadInput,
                  str(directory.string(),
                      all.empty() ? " holds no checkpoint" : ": the newest checkpoint is damaged"),
                  "name a run that has one, or resume with --resume auto");
    std::filesystem::path folder = directory / step_folder_name(all.front());
    check(folder, depth, warnings);
    return folder;
  }
  if (latest_is_missing) {
    warnings.push_back(str(directory.string(), ": ", step_folder_name(*latest),
                           ", which `latest` names, is missing"));
  }
  std::string reasons;
  for (const std::int64_t step : all) {
    std::filesystem::path folder = directory / step_folder_name(step);
    if (step >= below) {
      reasons += str("\n  ", folder.string(), ": damage was found while it was read");
      continue;
    }
    try {
      check(folder, depth, warnings);
      return folder;
    } catch (const Error& error) {
      reasons += str("\n  ", error.problem());
      warnings.push_back(str(folder.string(), " is damaged and passed over: ", error.problem()));
    }
  }
  CLOZE_REQUIRE(all.empty() && !latest_is_missing, ExitCode::kBadInput,
                str("no checkpoint in ", directory.string(), " is good:",
                    all.empty() ? str("\n  ", step_folder_name(*latest), ": missing") : reasons),
                "bring one back, or start again in another run.directory");
  return std::nullopt;
}

}  // namespace cloze
