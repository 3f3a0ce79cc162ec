// A file that only grows, one whole write a record, so that a kill leaves at most a torn end; and
// how the end of a file of lines is looked at and cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "parallel/base/file.h"

namespace cloze {

class AppendFile {
 public:
  // Opens or creates it; kCannotWrite when it cannot be.
  explicit AppendFile(const std::filesystem::path& path);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();

  const std::filesystem::path& path() const { return path_; }
  // Appends `record`, in one call to the kernel when it lets us; kIo when the device refuses.
  void append(std::string_view record);
  void sync();  // Flushes to the device.

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

// What stands between byte `end` and the newline before it (or the file's start), looked for in
// blocks from `end` back until at least `limit` bytes are read.
std::string line_before(const File& file, std::int64_t end, std::int64_t limit);

// Shortens a file to `size` bytes.
void cut_file(const std::filesystem::path& path, std::int64_t size);

// Cuts a last line that is not whole (no newline behind it). Returns the bytes cut. A file that
// does not exist is left so.
std::int64_t cut_torn_line(const std::filesystem::path& path);

}  // namespace cloze
