// The measured folder: nothing is left in it, and what cannot be written to is told.
#include "trainer/doctor/disk.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

class DiskTest : public testing::Test {
 protected:
  const ScratchFolder scratch_{"disk"};
  const std::filesystem::path& folder_ = scratch_.path();
};

CheckResult named(const std::vector<CheckResult>& checks, const std::string& name) {
  const auto found = std::ranges::find(checks, name, &CheckResult::name);
  if (found != checks.end()) return *found;
  ADD_FAILURE() << name;
  return {};
}

TEST_F(DiskTest, TimesAreMeasuredAndNothingIsLeft) {
  constexpr std::int64_t kBytes = (std::int64_t{5} << 20) + 1;
  const DiskTimes times = measure_disk(folder_, ".probe", kBytes);
  EXPECT_EQ(times.bytes, kBytes) << "5 MiB take no five seconds";
  EXPECT_GT(times.write_seconds, 0);
  EXPECT_GT(times.sync_seconds, 0);
  EXPECT_GT(times.rename_seconds, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(DiskTest, EveryCheckOfAFolderIsThere) {
  const std::vector<CheckResult> checks = check_disk(folder_, ".probe");
  for (const char* name : {"disk.directory", "disk.type", "disk.free", "disk.inodes", "disk.write",
                           "disk.sync", "disk.rename"}) {
    EXPECT_NE(named(checks, name).status, Status::kFail) << name;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(DiskTest, AFolderThatIsNotThereFails) {
  for (const char* path : {"absent", "file", "file/below"}) {
    std::ofstream(folder_ / "file") << "text";
    const std::vector<CheckResult> checks = check_disk(folder_ / path, ".probe");
    ASSERT_EQ(checks.size(), 1U);
    EXPECT_EQ(checks[0].name, "disk.directory");
    EXPECT_EQ(checks[0].status, Status::kFail) << path;
    EXPECT_FALSE(checks[0].detail.empty());
    EXPECT_FALSE(checks[0].fix.empty());
  }
}

TEST_F(DiskTest, AFolderThatTakesNoFileFails) {
  // Nobody creates files in /proc, root included.
  const CheckResult directory = named(check_disk("/proc/self", ".probe"), "disk.directory");
  EXPECT_EQ(directory.status, Status::kFail);
  EXPECT_NE(directory.detail.find("cannot create"), std::string::npos) << directory.detail;
}

TEST_F(DiskTest, AFailedWriteLeavesNothingBehind) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto action = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 8192, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const CheckResult directory = named(check_disk(folder_, ".probe"), "disk.directory");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, action);
  EXPECT_EQ(directory.status, Status::kFail);
  EXPECT_NE(directory.detail.find("cannot write"), std::string::npos) << directory.detail;
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(DiskTest, SlowDevicesAreWarnedOf) {
  const auto statuses = [](const DiskTimes& times) {
    std::vector<Status> all;
    for (const CheckResult& check : check_disk_times(times)) {
      all.push_back(check.status);
      EXPECT_EQ(check.status == Status::kWarn, !check.fix.empty()) << check.name;
    }
    return all;
  };
  EXPECT_EQ(statuses({64 << 20, 0.1, 0.001, 0.001}),
            (std::vector{Status::kOk, Status::kOk, Status::kOk}));
  EXPECT_EQ(statuses({64 << 20, 5.0, 0.2, 1.0}),
            (std::vector{Status::kWarn, Status::kWarn, Status::kWarn}));
}

}  // namespace
}  // namespace cloze
