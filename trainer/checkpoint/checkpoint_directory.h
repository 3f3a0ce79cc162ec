// Which checkpoint to start from: the scan of a directory of checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace cloze {

// Steps of the committed checkpoints of a directory, newest first, good or damaged. A directory
// that does not exist has none. Links and names of other kinds do not count.
std::vector<std::int64_t> committed_steps(const std::filesystem::path& directory);

// Whether a path is of the kinds that resolve_checkpoint() takes, and has a checkpoint.
bool is_checkpoint(const std::filesystem::path& path);

// A step folder, RUN/checkpoints or RUN to the step folder: the newest committed one. None there
// is kBadInput.
std::filesystem::path resolve_checkpoint(const std::filesystem::path& path);

enum class ResumeMode {
  kAuto,    // The newest that is good, with a warning for each damaged one that is newer.
  kStrict,  // The newest, or kBadInput.
};

enum class CheckDepth {
  kStructure,   // Checkpoint::open(); the loader compares the digests of what it reads.
  kEverything,  // Checkpoint::verify() too: every byte is read.
};

// The step folder to resume from; nothing when no checkpoint was ever committed there, under
// kStrict that is kBadInput too. When all are damaged: kBadInput with a line for each, never a
// silent start from scratch. `below` leaves out that step and later ones: for a loader that found
// damage which the structure did not show.
std::optional<std::filesystem::path> newest_checkpoint(
    const std::filesystem::path& directory, ResumeMode mode, std::vector<std::string>& warnings,
    CheckDepth depth = CheckDepth::kStructure,
    std::int64_t below = std::numeric_limits<std::int64_t>::max());

}  // namespace cloze
