// Memory: what is free, how large its pages may be, and the room that ranks of one host talk in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/doctor/check_result.h"
#include "trainer/doctor/mounts.h"

namespace cloze {

// /proc/meminfo: "MemTotal" -> bytes. Lines without kB are left out.
std::map<std::string, std::int64_t> parse_meminfo(std::string_view text);

// "always [madvise] never" -> "madvise": the setting in force.
std::optional<std::string> parse_chosen(std::string_view text);

CheckResult check_memory(const std::map<std::string, std::int64_t>& meminfo, int ranks_of_host);
// Of /sys/kernel/mm/transparent_hugepage/enabled.
CheckResult check_huge_pages(const std::optional<std::string>& chosen);

// What Open MPI needs in /dev/shm for ranks of one host.
std::int64_t shared_memory_need(int ranks_of_host);
CheckResult check_shared_memory(const std::optional<Space>& space, int ranks_of_host);

}  // namespace cloze
