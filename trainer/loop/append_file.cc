#include "trainer/loop/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

std::string reason() { return std::strerror(errno); }

}  // namespace

AppendFile::AppendFile(const std::filesystem::path& path)
    : path_(path),
      descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  CLOZE_REQUIRE(descriptor_ >= 0, ExitCode::kCannotWrite,
                str("cannot write to ", path.string(), ": ", reason()),
                "check that the folder exists and may be written to");
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void AppendFile::append(std::string_view record) {
  while (!record.empty()) {
    const ssize_t count = ::write(descriptor_, record.data(), record.size());
    if (count < 0 && errno == EINTR) continue;
    CLOZE_REQUIRE(count >= 0, ExitCode::kIo,
                  str("cannot write to ", path_.string(), ": ", reason()),
                  "free space on the device, or use another run.directory");
    record.remove_prefix(static_cast<std::size_t>(count));
  }
}

void AppendFile::sync() {
  CLOZE_REQUIRE(::fsync(descriptor_) == 0, ExitCode::kIo,
                str("cannot flush ", path_.string(), " to the device: ", reason()),
                "check the device");
}

std::string line_before(const File& file, std::int64_t end, std::int64_t limit) {
  constexpr std::int64_t kBlock = 4096;
  std::string line;
  while (end > 0 && static_cast<std::int64_t>(line.size()) < limit) {
    const std::int64_t count = std::min(kBlock, end);
    std::string block(static_cast<std::size_t>(count), '\0');
    file.read_at(end - count, std::as_writable_bytes(std::span<char>(block)));
    const std::size_t newline = block.rfind('\n');
    if (newline != std::string::npos) return block.substr(newline + 1) + line;
    line.insert(0, block);
    end -= count;
  }
  return line;
}

void cut_file(const std::filesystem::path& path, std::int64_t size) {
  std::error_code error;
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(size), error);
  CLOZE_REQUIRE(!error, ExitCode::kCannotWrite,
                str("cannot shorten ", path.string(), ": ", error.message()),
                "check that the file may be written to");
}

std::int64_t cut_torn_line(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return 0;
  const File file = File::open_for_reading(path);
  const std::int64_t size = file.size();
  const std::int64_t torn = std::ssize(line_before(file, size, size));
  if (torn > 0) cut_file(path, size - torn);
  return torn;
}

}  // namespace cloze
