// Locks on files: one job writes to a directory of checkpoints; readers keep what they read.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace cloze {

// A lock (flock) on a file, held while the object lives. The kernel drops it when the process
// ends, however it ends, so there are no stale locks.
class FileLock {
 public:
  enum class Kind { kShared, kExclusive };

  // Takes the lock at once or returns nothing: somebody else holds it. On a file system without
  // locks it returns a lock that is not enforced. `path` must exist; links are not followed.
  static std::optional<FileLock> try_lock(const std::filesystem::path& path, Kind kind);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

  bool enforced() const { return enforced_; }

 private:
  FileLock(int descriptor, bool enforced) : descriptor_(descriptor), enforced_(enforced) {}

  int descriptor_ = -1;
  bool enforced_ = false;
};

// Held by rank 0 of a job that writes to `directory`. The file `lock` in it says who holds it.
class DirectoryLock {
 public:
  // Creates the directory when it is missing. While another job holds the lock, tries again for
  // `patience` (a predecessor may be draining), then ends with kCannotWrite, which names the
  // holder's host, process and run.
  static DirectoryLock acquire(const std::filesystem::path& directory, std::string_view run_id,
                               std::chrono::milliseconds patience = {});

  bool enforced() const { return lock_.enforced(); }

 private:
  explicit DirectoryLock(FileLock lock) : lock_(std::move(lock)) {}

  FileLock lock_;
};

}  // namespace cloze
