// The folder of checkpoints: whether it can be written to, and how fast, with what a commit does:
// writes, fsync, rename.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

struct DiskTimes {
  std::int64_t bytes = 0;     // Written for the speed.
  double write_seconds = 0;   // Of all of them, fsync included.
  double sync_seconds = 0;    // Median of a small write and its fsync.
  double rename_seconds = 0;  // Median of a rename and the fsync of its folder.
};

// Writes at most `largest_bytes`, and stops after some seconds on a slow device. Its files are gone
// when it returns or throws; the large one has no name once it is open, and from then on a process
// that is killed does not leave it either. `name` makes its files differ from those of other
// processes. Throws Error when the folder cannot be written to.
DiskTimes measure_disk(const std::filesystem::path& folder, const std::string& name,
                       std::int64_t largest_bytes);

// disk.write, disk.sync, disk.rename.
std::vector<CheckResult> check_disk_times(const DiskTimes& times);

// All checks of the folder: disk.directory, .type, .free, .inodes, .write, .sync, .rename.
// Measures it.
std::vector<CheckResult> check_disk(const std::filesystem::path& folder, const std::string& name);

}  // namespace cloze
