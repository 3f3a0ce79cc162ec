// A file that only grows, one whole write a record, so that a kill leaves at most a torn end.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

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

// Cuts a last line that is not whole (no newline behind it). Returns the bytes cut. A file that
// does not exist is left so.
std::size_t cut_torn_line(const std::filesystem::path& path);

}  // namespace cloze
