#include "trainer/doctor/disk.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/base/file.h"
#include "parallel/base/system_file.h"
#include "trainer/doctor/median.h"
#include "trainer/doctor/mounts.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

// Signals that would end the process, and that the kernel would have this thread take, come after
// this block: a file with a name is in the folder. Another thread may take one meanwhile.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&held, signal);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// A name that is free when this ends.
class Removed {
 public:
  explicit Removed(std::filesystem::path path) : path_(std::move(path)) {}
  Removed(const Removed&) = delete;
  Removed& operator=(const Removed&) = delete;
  ~Removed() { ::unlink(path_.c_str()); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

double median_seconds(int rounds, const std::function<void(int)>& round) {
  std::vector<double> times;
  const auto start = Clock::now();
  for (int i = 0; i < rounds; ++i) {
    const auto begin = Clock::now();
    round(i);
    times.push_back(seconds_since(begin));
    if (seconds_since(start) > 5) break;  // The device is slow enough to know.
  }
  return median_of(std::move(times));
}

// A file that has no name once it is open.
File nameless_file(const std::filesystem::path& path) {
  const HeldSignals held;
  const Removed name(path);
  return File::create(name.path());
}

void measure_write(File& file, std::int64_t largest_bytes, DiskTimes& times) {
  constexpr std::int64_t kBlock = std::int64_t{4} << 20;
  // Bytes that no device makes shorter.
  std::string block(static_cast<std::size_t>(kBlock), '\0');
  std::uint64_t state = 0x9E3779B97F4A7C15ULL;
  for (char& byte : block) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>(state >> 56);
  }
  const auto start = Clock::now();
  while (times.bytes < largest_bytes && seconds_since(start) < 5) {
    const std::int64_t count = std::min(kBlock, largest_bytes - times.bytes);
    file.write(std::string_view(block).substr(0, static_cast<std::size_t>(count)));
    times.bytes += count;
  }
  file.sync();
  times.write_seconds = seconds_since(start);
}

}  // namespace

DiskTimes measure_disk(const std::filesystem::path& folder, const std::string& name,
                       std::int64_t largest_bytes) {
  constexpr int kRounds = 9;
  DiskTimes times;
  {
    File file = nameless_file(folder / (name + "-write"));
    measure_write(file, largest_bytes, times);
    file.close();
  }
  File small = nameless_file(folder / (name + "-sync"));
  const std::string block(4096, 's');
  times.sync_seconds = median_seconds(kRounds, [&](int /*round*/) {
    small.write(block);
    small.sync();
  });
  const HeldSignals held;
  const Removed first(folder / (name + "-a"));
  const Removed second(folder / (name + "-b"));
  File::create(first.path()).close();
  times.rename_seconds = median_seconds(kRounds, [&](int round) {
    const Removed& from = round % 2 == 0 ? first : second;
    const Removed& to = round % 2 == 0 ? second : first;
    std::error_code error;
    std::filesystem::rename(from.path(), to.path(), error);
    CLOZE_REQUIRE(!error, ExitCode::kIo,
                  str("cannot rename a file in ", folder.string(), ": ", error.message()),
                  "use a file system with rename: a checkpoint is committed by it");
    sync_directory(folder);
  });
  return times;
}

std::vector<CheckResult> check_disk_times(const DiskTimes& times) {
  const double rate = static_cast<double>(times.bytes) / std::max(times.write_seconds, 1e-9);
  CheckResult write{.name = "disk.write", .value = rate, .unit = "bytes/s"};
  write.detail = str(value_text({.value = times.bytes, .unit = "bytes"}), " with fsync");
  if (rate < 50e6) {
    complain(write, Status::kWarn, "a checkpoint of 1 GiB takes more than 20 s",
             "use a faster device, or raise checkpoint.interval");
  }
  CheckResult sync{.name = "disk.sync", .value = times.sync_seconds, .unit = "s"};
  sync.detail = "4 KiB and fsync, median";
  if (times.sync_seconds > 0.1) {
    complain(sync, Status::kWarn, "each save waits for several",
             "look for other programs that write to this device");
  }
  CheckResult rename{.name = "disk.rename", .value = times.rename_seconds, .unit = "s"};
  rename.detail = "with fsync of the folder, median; a checkpoint is committed by a rename";
  if (times.rename_seconds > 0.5) {
    rename.status = Status::kWarn;
    rename.fix = "look for other programs that write to this device";
  }
  return {write, sync, rename};
}

std::vector<CheckResult> check_disk(const std::filesystem::path& folder, const std::string& name) {
  constexpr std::int64_t kLargest = std::int64_t{64} << 20;
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(folder, error);
  CheckResult directory{.name = "disk.directory", .value = folder.string()};
  if (error || !std::filesystem::is_directory(whole, error)) {
    complain(directory, Status::kFail, error ? error.message() : "it is no folder",
             "create the folder, or name another one with --directory");
    return {directory};
  }
  directory.value = whole.string();
  const std::optional<Space> space = space_of(whole);
  const auto mounts = system_text("/proc/self/mountinfo");
  std::vector<CheckResult> checks;
  checks.push_back(check_file_system(mounts ? mount_of(parse_mountinfo(*mounts), whole)
                                            : std::optional<Mount>()));
  append(checks, check_space(space));
  try {
    // Never more than an eighth of what is free.
    const std::int64_t room = space ? space->free_bytes / 8 : kLargest;
    append(checks, check_disk_times(
                       measure_disk(whole, name, std::clamp<std::int64_t>(room, 4096, kLargest))));
  } catch (const Error& problem) {
    complain(directory, Status::kFail, problem.problem(), problem.fix());
  }
  checks.insert(checks.begin(), std::move(directory));
  return checks;
}

}  // namespace cloze
