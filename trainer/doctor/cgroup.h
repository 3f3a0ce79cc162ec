// What a container or a batch system lets this process have of the machine: the limits of its
// control group and of those above it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// A line of /proc/self/cgroup: "0::/user.slice" (version 2, no controllers named) or
// "4:memory:/docker/1f" (version 1).
struct CgroupEntry {
  std::vector<std::string> controllers{};  // None: version 2.
  std::string path{};

  bool operator==(const CgroupEntry&) const = default;
};

std::vector<CgroupEntry> parse_cgroups(std::string_view text);

// Of memory.max or memory.limit_in_bytes; nothing when there is no limit.
std::optional<std::int64_t> parse_memory_limit(std::string_view text);
// Of cpu.max: "200000 100000" is 2 cores; nothing when there is no limit.
std::optional<double> parse_cpu_max(std::string_view text);
// Of cpu.cfs_quota_us and cpu.cfs_period_us.
std::optional<double> parse_cpu_quota(std::string_view quota, std::string_view period);

struct CgroupLimits {
  bool visible = false;                        // Whether any file of a limit could be read.
  std::optional<std::int64_t> memory_bytes{};  // The smallest on the way up.
  std::optional<double> cpus{};                // Cores' worth of time.
};

// `root` is where the control groups are mounted: /sys/fs/cgroup.
CgroupLimits read_cgroup_limits(const std::filesystem::path& root,
                                const std::vector<CgroupEntry>& entries);

// Against `total_bytes` of the machine (0: unknown) and the cores open to this process (0).
CheckResult check_cgroup_memory(const CgroupLimits& limits, std::int64_t total_bytes);
CheckResult check_cgroup_cpu(const CgroupLimits& limits, int num_cores);

}  // namespace cloze
