#include "trainer/doctor/cpu.h"

#include <algorithm>
#include <array>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

// The x86-64-v3 level in the words of /proc/cpuinfo (lzcnt is called abm there).
constexpr std::array<const char*, 9> kRequired = {"avx",  "avx2", "fma",   "f16c", "bmi1",
                                                  "bmi2", "abm",  "movbe", "xsave"};
constexpr std::array<const char*, 5> kAvx512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq",
                                                "avx512vl"};
constexpr std::array<const char*, 6> kNoted = {"avx512_bf16", "avx512_fp16", "avx512_vnni",
                                               "amx_bf16",    "amx_tile",    "avx_vnni"};

template <std::size_t count>
std::string joined(const std::set<std::string>& flags, const std::array<const char*, count>& names,
                   bool present) {
  std::string text;
  for (const char* name : names) {
    if (flags.contains(name) == present) text += str(text.empty() ? "" : ", ", name);
  }
  return text;
}

}  // namespace

CpuInfo parse_cpuinfo(std::string_view text) {
  CpuInfo cpu;
  std::set<std::pair<std::string, std::string>> cores;
  std::string socket;
  for (const std::string_view line : lines_of(text)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "processor" && number_of(value)) {
      ++cpu.num_processors;
    } else if ((key == "model name" || key == "cpu" || key == "Processor") && cpu.model.empty()) {
      cpu.model = value;
    } else if (key == "physical id") {
      socket = value;
    } else if (key == "core id") {
      cores.emplace(socket, value);
    } else if ((key == "flags" || key == "Features") && cpu.flags.empty()) {
      for (const std::string_view word : words_of(value)) cpu.flags.emplace(word);
    }
  }
  cpu.num_cores = static_cast<int>(cores.size());
  return cpu;
}

std::optional<std::vector<int>> parse_cpu_list(std::string_view text) {
  constexpr std::int64_t kMost = 1 << 20;
  std::vector<int> cpus;
  for (const std::string_view part : parts_of(trimmed(text), ',')) {
    const std::size_t dash = part.find('-');
    const auto first = number_of(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_of(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= kMost) return std::nullopt;
    for (std::int64_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<int>(cpu));
  }
  if (cpus.empty()) return std::nullopt;
  std::ranges::sort(cpus);
  const auto repeated = std::ranges::unique(cpus);
  cpus.erase(repeated.begin(), repeated.end());
  return cpus;
}

std::string cpu_list_text(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t first = 0; first < cpus.size();) {
    std::size_t last = first;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += str(text.empty() ? "" : ",", cpus[first]);
    if (last > first) text += str("-", cpus[last]);
    first = last + 1;
  }
  return text;
}

std::string rank_list_text(std::vector<int> ranks) {
  std::ranges::sort(ranks);
  return str(ranks.size() == 1 ? "rank " : "ranks ", cpu_list_text(ranks));
}

std::string cpu_text(const CpuInfo& cpu) { return cpu.model.empty() ? "unknown CPU" : cpu.model; }

std::string_view name_of(InstructionSet set) {
  return set == InstructionSet::kAvx512 ? "AVX-512" : "AVX2";
}

CheckResult check_cpu_model(const CpuInfo& cpu) {
  if (cpu.model.empty()) return unknown("cpu.model", "/proc/cpuinfo does not name it");
  return {.name = "cpu.model", .value = cpu.model};
}

CheckResult check_cpu_cores(const CpuInfo& cpu, const std::optional<std::vector<int>>& online,
                            const std::optional<std::vector<int>>& allowed) {
  if (!online && !allowed) return unknown("cpu.cores", "neither /sys nor /proc shows them");
  CheckResult check{.name = "cpu.cores", .unit = "cores online"};
  check.value = static_cast<std::int64_t>((online ? *online : *allowed).size());
  if (allowed) {
    check.detail = str(allowed->size(), " allowed to this process (", cpu_list_text(*allowed), ")");
  } else {
    check.detail = "which of them this process may use cannot be seen";
  }
  if (cpu.num_cores > 0 && cpu.num_cores < cpu.num_processors) {
    check.detail += str("; ", cpu.num_cores, " physical, the rest are their second threads");
  }
  return check;
}

CheckResult check_simd(const CpuInfo& cpu) {
  if (cpu.flags.empty()) return unknown("cpu.simd", "/proc/cpuinfo shows no flags");
  CheckResult check{.name = "cpu.simd"};
  const std::string missing = joined(cpu.flags, kRequired, /*present=*/false);
  if (!missing.empty()) {
    check.value = "below AVX2";
    complain(check, Status::kFail,
             str("this program is compiled for x86-64-v3, the CPU has no ", missing),
             "run on a CPU with AVX2 and FMA (since 2013), or show them to the virtual machine");
    return check;
  }
  const bool avx512 = joined(cpu.flags, kAvx512, /*present=*/false).empty();
  check.value = std::string(avx512 ? "AVX-512" : "AVX2");
  const std::string noted = joined(cpu.flags, kNoted, /*present=*/true);
  if (!noted.empty()) {
    check.detail = str("also ", noted, ": LibTorch may use them");
  }
  return check;
}

CheckResult check_kernels(const CpuInfo& cpu, InstructionSet chosen, bool tiles) {
  CheckResult check{.name = "cpu.kernels", .value = str(name_of(chosen), tiles ? " and AMX" : "")};
  const bool avx512 = !cpu.flags.empty() && joined(cpu.flags, kAvx512, false).empty();
  if (avx512 && chosen != InstructionSet::kAvx512) {
    check.detail = "the CPU has AVX-512, but the C library hides it (GLIBC_TUNABLES)";
  } else if (!tiles && cpu.flags.contains("amx_tile") && cpu.flags.contains("amx_bf16")) {
    check.detail = "the CPU has AMX, but the system, or GLIBC_TUNABLES, keeps it from this program";
  } else if (tiles) {
    check.detail = "AMX multiplies in fp32 where precision.products is tiles";
  }
  return check;
}

}  // namespace cloze
