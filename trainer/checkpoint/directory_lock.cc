#include "trainer/checkpoint/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr std::string_view kLockName = "lock";

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

// What the holder wrote, made fit for one line of a message.
std::string holder_of(const std::filesystem::path& path) {
  std::string text;
  try {
    text = read_file(path, 4096);
  } catch (const Error&) {
    return "an unknown job";
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text.empty() ? "an unknown job" : text;
}

void write_holder(const std::filesystem::path& path, std::string_view run_id) {
  // In place: a rename would leave the lock on a file that nobody sees any more.
  File file = File::create(path);
  file.write(str("host ", host_name(), ", process ", ::getpid(), ", run ", run_id, "\n"));
  file.close();
}

}  // namespace

std::optional<FileLock> FileLock::try_lock(const std::filesystem::path& path, Kind kind) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  CLOZE_REQUIRE(descriptor >= 0, ExitCode::kBadInput,
                str("cannot open ", path.string(), ": ", std::strerror(errno)),
                "check that the file exists, can be read and is no link");
  const int operation = (kind == Kind::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  while (::flock(descriptor, operation) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      ::close(descriptor);
      return std::nullopt;
    }
    return FileLock(descriptor, /*enforced=*/false);
  }
  return FileLock(descriptor, /*enforced=*/true);
}

FileLock::FileLock(FileLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), enforced_(other.enforced_) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    enforced_ = other.enforced_;
  }
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

DirectoryLock DirectoryLock::acquire(const std::filesystem::path& directory,
                                     std::string_view run_id, std::chrono::milliseconds patience) {
  make_directories(directory);
  const std::filesystem::path path = directory / kLockName;
  // Made when missing, never emptied: that is for who holds the lock.
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  CLOZE_REQUIRE(descriptor >= 0, ExitCode::kCannotWrite,
                str("cannot create ", path.string(), ": ", std::strerror(errno)),
                "check that the folder may be written to");
  ::close(descriptor);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::optional<FileLock> lock = FileLock::try_lock(path, FileLock::Kind::kExclusive);
  while (!lock && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    lock = FileLock::try_lock(path, FileLock::Kind::kExclusive);
  }
  CLOZE_REQUIRE(lock.has_value(), ExitCode::kCannotWrite,
                str(directory.string(), " is in use by another job: ", holder_of(path)),
                "wait for that job, stop it, or give this one another run.directory");
  write_holder(path, run_id);
  return DirectoryLock(std::move(*lock));
}

}  // namespace cloze
