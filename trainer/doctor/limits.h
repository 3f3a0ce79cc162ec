// The limits of this process (ulimit), as the kernel shows them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

struct Limit {
  std::optional<std::int64_t> soft{};  // Nothing: unlimited.
  std::optional<std::int64_t> hard{};

  bool operator==(const Limit&) const = default;
};

// /proc/self/limits: "Max open files" -> its limits.
std::map<std::string, Limit> parse_limits(std::string_view text);

// limit.open_files, limit.locked_memory, limit.processes, limit.core_size, limit.file_size.
// `rdma`: the host has InfiniBand or RoCE, whose libraries lock memory.
std::vector<CheckResult> check_limits(const std::map<std::string, Limit>& limits, int world_size,
                                      bool rdma);

}  // namespace cloze
