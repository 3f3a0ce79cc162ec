// Files with errors that name the path and the cause: whole reads and writes, fsync, and
// replacement by rename, so that a reader sees the old content or the new, never half.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cloze {

class File {
 public:
  // Opens a regular file for reading. Missing, not regular, or a symbolic link when
  // `follow_links` is false: kBadInput.
  static File open_for_reading(const std::filesystem::path& path, bool follow_links = true);
  // Creates or truncates a file for writing: kCannotWrite when it cannot be.
  static File create(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();  // Closes; errors of close are reported by close() alone.

  const std::filesystem::path& path() const { return path_; }
  std::int64_t size() const;

  // Fills `bytes` from `offset` on; kBadInput when the file ends before, kIo on a failed read.
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const;
  // Appends all of `bytes`; kIo when the device refuses (no space, quota, I/O error).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void write_at(std::int64_t offset, std::span<const std::byte> bytes);
  // Has the system begin to move bytes of the file to the device, so that sync() waits for less.
  // A hint: what fails shows at sync().
  void start_sync(std::int64_t offset, std::int64_t bytes);
  // Flushes to the device. An error is final: the kernel may have dropped the pages.
  void sync();
  void close();

 private:
  File(std::filesystem::path path, int descriptor);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

// A file that is written piece by piece, beside `path`, and takes that name when it is whole.
class ReplacingFile {
 public:
  explicit ReplacingFile(const std::filesystem::path& path);
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;
  ~ReplacingFile();  // Not committed: nothing is left, and what had the name before stays.

  void write(std::string_view text);
  void commit();  // Syncs, renames, syncs the folder.

 private:
  const std::filesystem::path path_;
  File file_;
  std::string buffer_;
  bool committed_ = false;
};

// The whole of a file of at most `limit` bytes; a larger one is kBadInput.
std::string read_file(const std::filesystem::path& path, std::int64_t limit);

// A ReplacingFile of one piece.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

// Makes renames and new names in a folder durable.
void sync_directory(const std::filesystem::path& folder);

// Creates a folder and its parents; kCannotWrite with the path when it cannot be.
void make_directories(const std::filesystem::path& folder);

}  // namespace cloze
