#include "trainer/doctor/cgroup.h"

#include <algorithm>
#include <cmath>

#include "parallel/base/check.h"
#include "parallel/base/system_file.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

template <typename Number>
void keep_smaller(std::optional<Number>& kept, std::optional<Number> found) {
  if (found && (!kept || *found < *kept)) kept = found;
}

// The group's folder and those above it up to `base`, the innermost first. In a container the path
// may name what is not mounted here; `base` is then the group itself.
std::vector<std::filesystem::path> way_up(const std::filesystem::path& base,
                                          const std::string& path) {
  std::vector<std::filesystem::path> folders;
  std::filesystem::path below = std::filesystem::path(path).relative_path().lexically_normal();
  while (!below.empty() && below != "." && *below.begin() != "..") {
    folders.push_back(base / below);
    below = below.parent_path();
  }
  folders.push_back(base);
  return folders;
}

void read_version_2(const std::filesystem::path& folder, CgroupLimits& limits) {
  if (const auto text = system_text(folder / "memory.max")) {
    limits.visible = true;
    keep_smaller(limits.memory_bytes, parse_memory_limit(*text));
  }
  if (const auto text = system_text(folder / "cpu.max")) {
    limits.visible = true;
    keep_smaller(limits.cpus, parse_cpu_max(*text));
  }
}

void read_version_1(const std::filesystem::path& folder, CgroupLimits& limits) {
  if (const auto text = system_text(folder / "memory.limit_in_bytes")) {
    limits.visible = true;
    keep_smaller(limits.memory_bytes, parse_memory_limit(*text));
  }
  const auto quota = system_text(folder / "cpu.cfs_quota_us");
  const auto period = system_text(folder / "cpu.cfs_period_us");
  if (quota && period) {
    limits.visible = true;
    keep_smaller(limits.cpus, parse_cpu_quota(*quota, *period));
  }
}

// `limit` against the `whole` of the machine (0: unknown). What may be less is a warning, of which
// the caller tells.
template <typename Number>
CheckResult compared(const char* name, bool visible, const std::optional<Number>& limit,
                     Number whole, const char* unit, const char* wide) {
  if (!visible) return unknown(name, "no control group can be seen");
  CheckResult check{.name = name, .value = std::string("no limit")};
  if (!limit) return check;
  check.value = *limit;
  check.unit = unit;
  if (whole > 0 && *limit >= whole) {
    check.detail = wide;
  } else {
    check.status = Status::kWarn;
  }
  return check;
}

}  // namespace

std::vector<CgroupEntry> parse_cgroups(std::string_view text) {
  std::vector<CgroupEntry> entries;
  for (const std::string_view line : lines_of(text)) {
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    CgroupEntry entry{.path = std::string(line.substr(second + 1))};
    for (const auto name : parts_of(line.substr(first + 1, second - first - 1), ',')) {
      entry.controllers.emplace_back(name);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::optional<std::int64_t> parse_memory_limit(std::string_view text) {
  // Version 1 has no word for "no limit": it is the largest count of pages.
  constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;
  const std::optional<std::int64_t> bytes = number_of(trimmed(text));
  if (!bytes || *bytes <= 0 || *bytes >= kNoLimit) return std::nullopt;
  return bytes;
}

std::optional<double> parse_cpu_max(std::string_view text) {
  const std::vector<std::string_view> words = words_of(trimmed(text));
  return words.size() == 2 ? parse_cpu_quota(words[0], words[1]) : std::nullopt;
}

std::optional<double> parse_cpu_quota(std::string_view quota, std::string_view period) {
  const std::optional<std::int64_t> time = number_of(trimmed(quota));
  const std::optional<std::int64_t> of = number_of(trimmed(period));
  if (!time || !of || *time <= 0 || *of <= 0) return std::nullopt;  // "max" and -1: no limit.
  return static_cast<double>(*time) / static_cast<double>(*of);
}

CgroupLimits read_cgroup_limits(const std::filesystem::path& root,
                                const std::vector<CgroupEntry>& entries) {
  CgroupLimits limits;
  for (const CgroupEntry& entry : entries) {
    if (entry.controllers.empty()) {
      // Beside version 1 the tree of version 2 has a folder of its own.
      for (const auto& base : {root, root / "unified"}) {
        for (const auto& folder : way_up(base, entry.path)) read_version_2(folder, limits);
      }
      continue;
    }
    for (const std::string& controller : entry.controllers) {
      if (controller != "memory" && controller != "cpu") continue;
      for (const auto& folder : way_up(root / controller, entry.path)) {
        read_version_1(folder, limits);
      }
    }
  }
  return limits;
}

CheckResult check_cgroup_memory(const CgroupLimits& limits, std::int64_t total_bytes) {
  CheckResult check = compared("cgroup.memory", limits.visible, limits.memory_bytes, total_bytes,
                               "bytes", "not less than the machine has");
  if (check.status != Status::kWarn) return check;
  complain(check, Status::kWarn,
           total_bytes > 0
               ? "less than /proc/meminfo shows: beyond it the kernel kills ranks (signal 9)"
               : "what the machine has cannot be seen; beyond the limit the kernel kills ranks "
                 "(signal 9)",
           "size the run for this limit, or raise the limit of the container or the job");
  return check;
}

CheckResult check_cgroup_cpu(const CgroupLimits& limits, int num_cores) {
  CheckResult check =
      compared("cgroup.cpu", limits.visible, limits.cpus, static_cast<double>(num_cores), "cores",
               "not less than the cores open to this process");
  if (check.status != Status::kWarn) return check;
  complain(check, Status::kWarn,
           num_cores > 0 ? str("less time than the ", num_cores,
                               " cores open to this process: its threads are stopped in turn")
                         : "the cores open to this process cannot be seen; more threads than the "
                           "limit are stopped in turn",
           str("set OMP_NUM_THREADS so that all ranks of the host have ",
               std::max(1, static_cast<int>(std::floor(*limits.cpus))),
               " threads at most, or raise the limit of the container"));
  return check;
}

}  // namespace cloze
