// Control groups of versions 1 and 2, in trees made as a container sees them.
#include "trainer/doctor/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

class CgroupTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  CgroupLimits limits(const std::string& self) const {
    return read_cgroup_limits(root_, parse_cgroups(self));
  }

  const ScratchFolder scratch_{"cgroup"};
  const std::filesystem::path& root_ = scratch_.path();
};

TEST_F(CgroupTest, LinesOfBothVersionsAreRead) {
  const auto entries = parse_cgroups("12:cpu,cpuacct:/docker/1f\n4:memory:/a:b\n0::/user.slice\n");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0], (CgroupEntry{{"cpu", "cpuacct"}, "/docker/1f"}));
  EXPECT_EQ(entries[1], (CgroupEntry{{"memory"}, "/a:b"}));
  EXPECT_EQ(entries[2], (CgroupEntry{{}, "/user.slice"}));
  EXPECT_TRUE(parse_cgroups("garbage\n:\n").empty());
}

TEST_F(CgroupTest, LimitsAreNumbersOrNone) {
  EXPECT_EQ(parse_memory_limit("2147483648\n"), 2147483648);
  for (const char* none : {"max\n", "9223372036854771712\n", "-1\n", "", "0", "x"}) {
    EXPECT_FALSE(parse_memory_limit(none)) << none;
  }
  EXPECT_EQ(parse_cpu_max("150000 100000\n"), 1.5);
  for (const char* none : {"max 100000\n", "", "1", "0 100000", "100000 0", "a b"}) {
    EXPECT_FALSE(parse_cpu_max(none)) << none;
  }
  EXPECT_EQ(parse_cpu_quota("200000\n", "100000\n"), 2.0);
  EXPECT_FALSE(parse_cpu_quota("-1\n", "100000\n"));
}

TEST_F(CgroupTest, Version2TakesTheSmallestOnTheWayUp) {
  write("system.slice/memory.max", "1073741824\n");
  write("system.slice/cpu.max", "max 100000\n");
  write("system.slice/job.scope/memory.max", "max\n");
  write("system.slice/job.scope/cpu.max", "150000 100000\n");
  const CgroupLimits found = limits("0::/system.slice/job.scope\n");
  EXPECT_TRUE(found.visible);
  EXPECT_EQ(found.memory_bytes, 1073741824);
  EXPECT_EQ(found.cpus, 1.5);
}

TEST_F(CgroupTest, Version1AndAContainerThatSeesItsOwnGroupAsTheRoot) {
  // The path is the host's; only the root of each controller is mounted.
  write("memory/memory.limit_in_bytes", "536870912\n");
  write("cpu/cpu.cfs_quota_us", "50000\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  const CgroupLimits found = limits("9:memory:/docker/0a1b\n8:cpu:/docker/0a1b\n0::/\n");
  EXPECT_EQ(found.memory_bytes, 536870912);
  EXPECT_EQ(found.cpus, 0.5);
}

TEST_F(CgroupTest, APathThatLeavesTheTreeIsNotFollowed) {
  write("memory.max", "1000\n");
  EXPECT_EQ(limits("0::/../../etc\n").memory_bytes, 1000);
}

TEST_F(CgroupTest, NothingVisibleIsUnknown) {
  const CgroupLimits found = limits("");
  EXPECT_FALSE(found.visible);
  EXPECT_EQ(check_cgroup_memory(found, 1 << 30).status, Status::kSkip);
  EXPECT_EQ(check_cgroup_cpu(found, 2).status, Status::kSkip);
}

TEST_F(CgroupTest, ALimitBelowTheMachineIsWarnedOf) {
  const CgroupLimits tight{.visible = true, .memory_bytes = 1 << 30, .cpus = 1.5};
  const CheckResult memory = check_cgroup_memory(tight, std::int64_t{8} << 30);
  EXPECT_EQ(memory.status, Status::kWarn);
  EXPECT_EQ(value_text(memory), "1.00 GiB");
  const CheckResult cpu = check_cgroup_cpu(tight, 4);
  EXPECT_EQ(cpu.status, Status::kWarn);
  EXPECT_NE(cpu.fix.find("1 threads"), std::string::npos) << cpu.fix;
  EXPECT_EQ(check_cgroup_memory(tight, 1 << 20).status, Status::kOk);
  EXPECT_EQ(check_cgroup_cpu(tight, 1).status, Status::kOk);
  const CgroupLimits none{.visible = true};
  EXPECT_EQ(value_text(check_cgroup_memory(none, 1)), "no limit");
  EXPECT_EQ(value_text(check_cgroup_cpu(none, 1)), "no limit");
}

TEST_F(CgroupTest, ALimitBesideAnUnseenMachineIsWarnedOfAndNotCompared) {
  const CgroupLimits tight{.visible = true, .memory_bytes = 1 << 30, .cpus = 1.5};
  const CheckResult memory = check_cgroup_memory(tight, 0);
  EXPECT_EQ(memory.status, Status::kWarn);
  EXPECT_EQ(memory.detail,
            "what the machine has cannot be seen; beyond the limit the kernel kills ranks "
            "(signal 9)");
  EXPECT_FALSE(memory.fix.empty());
  const CheckResult cpu = check_cgroup_cpu(tight, 0);
  EXPECT_EQ(cpu.status, Status::kWarn);
  EXPECT_EQ(
      cpu.detail,
      "the cores open to this process cannot be seen; more threads than the limit are stopped "
      "in turn");
  EXPECT_NE(cpu.fix.find("1 threads"), std::string::npos) << cpu.fix;
}

}  // namespace
}  // namespace cloze
