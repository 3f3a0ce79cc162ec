// The processor: what /proc/cpuinfo says of it, and whether this program can run on it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/kernels/instruction_set.h"
#include "trainer/doctor/check_result.h"

namespace cloze {

struct CpuInfo {
  std::string model{};  // Empty when the file does not say.
  int num_processors = 0;
  int num_cores = 0;  // Physical ones, of all sockets; 0 when the file does not say.
  std::set<std::string> flags{};
};

// Of the text of /proc/cpuinfo, of any architecture.
CpuInfo parse_cpuinfo(std::string_view text);

// "0-3,8" -> {0, 1, 2, 3, 8}; nothing when the text is no such list.
std::optional<std::vector<int>> parse_cpu_list(std::string_view text);
// {0, 1, 2, 3, 8} -> "0-3,8"; ascending.
std::string cpu_list_text(const std::vector<int>& cpus);
// {3} -> "rank 3", {2, 0, 1} -> "ranks 0-2".
std::string rank_list_text(std::vector<int> ranks);

// The model; "unknown CPU" when it is not told.
std::string cpu_text(const CpuInfo& cpu);
std::string_view name_of(InstructionSet set);  // "AVX2", "AVX-512".

CheckResult check_cpu_model(const CpuInfo& cpu);
// `online` of the machine, `allowed` to this process: nothing where it cannot be seen.
CheckResult check_cpu_cores(const CpuInfo& cpu, const std::optional<std::vector<int>>& online,
                            const std::optional<std::vector<int>>& allowed);
// What the program was compiled for (x86-64-v3: AVX2, FMA) must be there.
CheckResult check_simd(const CpuInfo& cpu);
CheckResult check_kernels(const CpuInfo& cpu, InstructionSet chosen, bool tiles);

}  // namespace cloze
