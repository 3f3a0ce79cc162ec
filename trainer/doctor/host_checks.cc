#include "trainer/doctor/host_checks.h"

#include <unistd.h>

#include "parallel/base/check.h"
#include "parallel/base/system_file.h"
#include "parallel/kernels/tile_product.h"
#include "trainer/doctor/cgroup.h"
#include "trainer/doctor/clock.h"
#include "trainer/doctor/cpu.h"
#include "trainer/doctor/devices.h"
#include "trainer/doctor/disk.h"
#include "trainer/doctor/limits.h"
#include "trainer/doctor/memory.h"
#include "trainer/doctor/mounts.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

CpuInfo this_cpu() { return parse_cpuinfo(system_text("/proc/cpuinfo").value_or("")); }

std::optional<std::vector<int>> online_cores() {
  const auto text = system_text("/sys/devices/system/cpu/online");
  return text ? parse_cpu_list(*text) : std::nullopt;
}

// Those that a container or a batch system leaves open, which no affinity mask can exceed.
std::optional<std::vector<int>> open_cores() {
  for (const char* path :
       {"/sys/fs/cgroup/cpuset.cpus.effective", "/sys/fs/cgroup/cpuset/cpuset.effective_cpus"}) {
    const auto text = system_text(path);
    if (const auto cores = text ? parse_cpu_list(*text) : std::nullopt) return cores;
  }
  return online_cores();
}

}  // namespace

std::vector<CheckResult> check_host(const HostOptions& options) {
  const CpuInfo cpu = this_cpu();
  const auto meminfo = parse_meminfo(system_text("/proc/meminfo").value_or(""));
  const auto total = meminfo.find("MemTotal");
  const auto pages = system_text("/sys/kernel/mm/transparent_hugepage/enabled");
  const CgroupLimits limits = read_cgroup_limits(
      "/sys/fs/cgroup", parse_cgroups(system_text("/proc/self/cgroup").value_or("")));
  const auto allowed = allowed_cores();
  std::vector<CheckResult> checks = {
      check_cpu_model(cpu),
      check_cpu_cores(cpu, online_cores(), allowed),
      check_simd(cpu),
      check_kernels(cpu, instruction_set(), has_tile_unit()),
      check_memory(meminfo, options.ranks_of_host),
      check_huge_pages(pages ? parse_chosen(*pages) : std::nullopt),
      check_cgroup_memory(limits, total == meminfo.end() ? 0 : total->second),
      check_cgroup_cpu(limits, allowed ? static_cast<int>(allowed->size()) : 0),
      check_shared_memory(space_of("/dev/shm"), options.ranks_of_host)};
  append(checks, check_limits(parse_limits(system_text("/proc/self/limits").value_or("")),
                              options.world_size, !names_in("/sys/class/infiniband").empty()));
  append(checks, check_disk(options.directory, options.probe_name));
  append(checks, check_clock_and_locale());
  return checks;
}

RankPlace place_of_rank(int rank, const std::string& host, int threads) {
  return {.rank = rank,
          .host = host,
          .cores = allowed_cores().value_or(std::vector<int>()),
          .threads = threads,
          .host_cores = static_cast<int>(open_cores().value_or(std::vector<int>()).size())};
}

std::string host_name() {
  char name[256] = "?";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string host_kind() { return str(cpu_text(this_cpu()), ", ", name_of(instruction_set())); }

}  // namespace cloze
