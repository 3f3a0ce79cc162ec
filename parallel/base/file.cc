#include "parallel/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

std::string reason() { return std::strerror(errno); }

std::filesystem::path beside(const std::filesystem::path& path) {
  std::filesystem::path temporary = path;
  temporary += str(".tmp-", ::getpid());
  return temporary;
}

}  // namespace

File::File(std::filesystem::path path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open_for_reading(const std::filesystem::path& path, bool follow_links) {
  // O_NONBLOCK: a FIFO in place of a file must not hang the open.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow_links ? 0 : O_NOFOLLOW);
  const int descriptor = ::open(path.c_str(), flags);
  CLOZE_REQUIRE(descriptor >= 0, ExitCode::kBadInput,
                str("cannot open ", path.string(), ": ", reason()),
                "check that the file exists and can be read");
  File file(path, descriptor);
  struct stat status {};
  CLOZE_REQUIRE(::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode), ExitCode::kBadInput,
                str(path.string(), " is not a regular file"), "name a regular file");
  return file;
}

File File::create(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  CLOZE_REQUIRE(descriptor >= 0, ExitCode::kCannotWrite,
                str("cannot create ", path.string(), ": ", reason()),
                "check that the folder exists and may be written to");
  return {path, descriptor};
}

std::int64_t File::size() const {
  struct stat status {};
  CLOZE_REQUIRE(::fstat(descriptor_, &status) == 0, ExitCode::kIo,
                str("cannot read the size of ", path_.string(), ": ", reason()),
                "check the file system");
  return status.st_size;
}

void File::read_at(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    CLOZE_REQUIRE(count >= 0, ExitCode::kIo,
                  str("cannot read ", path_.string(), " at byte ", offset, ": ", reason()),
                  "check the file system");
    CLOZE_REQUIRE(count > 0, ExitCode::kBadInput,
                  str(path_.string(), " ends at byte ", offset, ", ", bytes.size(),
                      " bytes before it should"),
                  "the file is truncated: copy or make it again");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

void File::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    CLOZE_REQUIRE(count >= 0, ExitCode::kIo, str("cannot write ", path_.string(), ": ", reason()),
                  "free space on the device, or write elsewhere");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void File::write(std::string_view text) {
  write(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

void File::write_at(std::int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    CLOZE_REQUIRE(count >= 0, ExitCode::kIo, str("cannot write ", path_.string(), ": ", reason()),
                  "free space on the device, or write elsewhere");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

void File::start_sync(std::int64_t offset, std::int64_t bytes) {
  static_cast<void>(::sync_file_range(descriptor_, offset, bytes, SYNC_FILE_RANGE_WRITE));
}

void File::sync() {
  CLOZE_REQUIRE(::fsync(descriptor_) == 0, ExitCode::kIo,
                str("cannot flush ", path_.string(), " to the device: ", reason()),
                "check the device; what was written to this file is lost");
}

void File::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (descriptor < 0) return;
  CLOZE_REQUIRE(::close(descriptor) == 0, ExitCode::kIo,
                str("cannot close ", path_.string(), ": ", reason()),
                "check the device; what was written to this file may be lost");
}

ReplacingFile::ReplacingFile(const std::filesystem::path& path)
    : path_(path), file_(File::create(beside(path))) {}

ReplacingFile::~ReplacingFile() {
  if (!committed_) ::unlink(file_.path().c_str());
}

void ReplacingFile::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() < kBufferBytes) return;
  file_.write(buffer_);
  buffer_.clear();
}

void ReplacingFile::commit() {
  file_.write(buffer_);
  buffer_.clear();
  file_.sync();
  file_.close();
  CLOZE_REQUIRE(
      ::rename(file_.path().c_str(), path_.c_str()) == 0, ExitCode::kIo,
      str("cannot rename ", file_.path().string(), " to ", path_.string(), ": ", reason()),
      "check the permissions of the folder");
  committed_ = true;
  sync_directory(path_.parent_path());
}

std::string read_file(const std::filesystem::path& path, std::int64_t limit) {
  const File file = File::open_for_reading(path);
  const std::int64_t size = file.size();
  CLOZE_REQUIRE(size <= limit, ExitCode::kBadInput,
                str(path.string(), " has ", size, " bytes, more than the ", limit, " allowed"),
                "check that this is the right file");
  std::string content(static_cast<std::size_t>(size), '\0');
  file.read_at(0, std::as_writable_bytes(std::span<char>(content)));
  return content;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  ReplacingFile file(path);
  file.write(content);
  file.commit();
}

void sync_directory(const std::filesystem::path& folder) {
  const std::filesystem::path target = folder.empty() ? std::filesystem::path(".") : folder;
  const int descriptor = ::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CLOZE_REQUIRE(descriptor >= 0, ExitCode::kIo,
                str("cannot open the folder ", target.string(), ": ", reason()),
                "check its permissions");
  const bool synced = ::fsync(descriptor) == 0;
  const std::string cause = synced ? "" : reason();
  ::close(descriptor);
  CLOZE_REQUIRE(synced, ExitCode::kIo,
                str("cannot flush the folder ", target.string(), ": ", cause), "check the device");
}

void make_directories(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  CLOZE_REQUIRE(!error, ExitCode::kCannotWrite,
                str("cannot create the folder ", folder.string(), ": ", error.message()),
                "check the path and its permissions");
}

}  // namespace cloze
