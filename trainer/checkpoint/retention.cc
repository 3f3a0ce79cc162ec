// Which old checkpoints go, and how: renamed first, so that none is ever seen half removed.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/checkpoint_writer.h"
#include "trainer/checkpoint/directory_lock.h"
#include "trainer/checkpoint/manifest.h"

namespace cloze {
namespace {

constexpr std::string_view kTrash = ".trash-";
constexpr std::string_view kTemporary = ".tmp-";

bool is_good(const std::filesystem::path& folder) {
  try {
    Checkpoint::open(folder);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void remove_folder(const std::filesystem::path& folder, std::vector<std::string>& report) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);  // Removes links, never what they point at.
  report.push_back(error ? str("cannot remove ", folder.string(), ": ", error.message())
                         : str("removed ", folder.string()));
}

void remove_checkpoint(const std::filesystem::path& folder, std::vector<std::string>& report) {
  // Held until the folder is gone: who opens the manifest meanwhile is told that it is going.
  std::optional<FileLock> lock;
  try {
    lock = FileLock::try_lock(folder / kManifestName, FileLock::Kind::kExclusive);
    if (!lock) {
      report.push_back(str(folder.string(), " stays: somebody reads it"));
      return;
    }
  } catch (const Error&) {
    lock.reset();  // No manifest: nobody can read it.
  }
  const std::filesystem::path trash =
      folder.parent_path() / (std::string(kTrash) + folder.filename().string());
  std::error_code error;
  std::filesystem::remove_all(trash, error);  // Of a removal of that step that died.
  if (std::rename(folder.c_str(), trash.c_str()) != 0) {
    report.push_back(str("cannot remove ", folder.string(), ": ", std::strerror(errno)));
    return;
  }
  sync_directory(folder.parent_path());
  std::filesystem::remove_all(trash, error);
  report.push_back(error ? str("cannot remove ", trash.string(), ": ", error.message())
                         : str("removed ", folder.string()));
}

// What saves and removals that died left behind: .trash-* always, .tmp-step-N-* once a
// checkpoint of that step or a later one is committed, and halves of `latest`.
void remove_leftovers(const std::filesystem::path& directory, std::int64_t newest,
                      std::vector<std::string>& report) {
  std::vector<std::filesystem::path> leftovers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kTrash) || name.starts_with(str(kLatestName, kTemporary))) {
      leftovers.push_back(entry.path());
    } else if (name.starts_with(kTemporary)) {
      const std::string_view rest = std::string_view(name).substr(kTemporary.size());
      const std::size_t token = rest.find('-', rest.find('-') + 1);  // step-N-TOKEN
      const std::optional<std::int64_t> step = step_of_folder(rest.substr(0, token));
      if (step && *step <= newest) leftovers.push_back(entry.path());
    }
  }
  std::sort(leftovers.begin(), leftovers.end());
  for (const std::filesystem::path& leftover : leftovers) remove_folder(leftover, report);
}

}  // namespace

std::vector<std::string> retain(const std::filesystem::path& directory, std::int64_t keep,
                                std::int64_t keep_every) {
  std::vector<std::string> report;
  std::int64_t good = 0;
  std::optional<std::int64_t> newest_good;
  for (const std::int64_t step : committed_steps(directory)) {
    const std::filesystem::path folder = directory / step_folder_name(step);
    if (keep > 0 && good >= keep) {
      if (keep_every == 0 || step % keep_every != 0) remove_checkpoint(folder, report);
      continue;
    }
    if (!is_good(folder)) continue;  // Left for a person to look at.
    ++good;
    if (!newest_good) newest_good = step;
  }
  // Nothing is cleared away before a good checkpoint stands in its place.
  if (newest_good) remove_leftovers(directory, *newest_good, report);
  return report;
}

}  // namespace cloze
