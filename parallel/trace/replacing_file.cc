#include "parallel/trace/replacing_file.h"

#include <unistd.h>

#include <cstddef>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

std::filesystem::path beside(const std::filesystem::path& path) {
  std::filesystem::path temporary = path;
  temporary += str(".tmp-", ::getpid());
  return temporary;
}

}  // namespace

ReplacingFile::ReplacingFile(const std::filesystem::path& path)
    : path_(path), temporary_(beside(path)), file_(File::create(temporary_)) {}

ReplacingFile::~ReplacingFile() {
  if (!committed_) ::unlink(temporary_.c_str());
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
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  CLOZE_REQUIRE(
      !error, ExitCode::kIo,
      str("cannot rename ", temporary_.string(), " to ", path_.string(), ": ", error.message()),
      "check the permissions of the folder");
  committed_ = true;
  sync_directory(path_.parent_path());
}

}  // namespace cloze
