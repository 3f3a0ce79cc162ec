#include "trainer/doctor/limits.h"

#include <algorithm>

#include "parallel/base/check.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

// A limit is "unlimited" or a number; anything else, such as a unit, is none.
std::optional<std::optional<std::int64_t>> limit_of(std::string_view word) {
  if (word == "unlimited") return std::optional<std::int64_t>();
  const std::optional<std::int64_t> number = number_of(word);
  if (!number) return std::nullopt;
  return number;
}

CheckResult start(const std::map<std::string, Limit>& limits, const char* name, const char* key,
                  const char* unit) {
  const auto found = limits.find(key);
  if (found == limits.end()) return unknown(name, "/proc/self/limits does not say");
  CheckResult check{.name = name};
  if (!found->second.soft) {
    check.value = std::string("unlimited");
  } else {
    check.value = *found->second.soft;
    check.unit = unit;
  }
  return check;
}

std::optional<std::int64_t> soft_of(const CheckResult& check) {
  const auto* number = std::get_if<std::int64_t>(&check.value);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

CheckResult check_open_files(const std::map<std::string, Limit>& limits, int world_size) {
  CheckResult check = start(limits, "limit.open_files", "Max open files", "files");
  const std::optional<std::int64_t> files = soft_of(check);
  if (!files) return check;
  // MPI's own, libraries and shards take some hundred; a rank may have a socket to every other.
  const std::int64_t least = 128 + 4 * static_cast<std::int64_t>(world_size);
  const std::int64_t enough = std::max<std::int64_t>(1024, 2 * least);
  if (*files >= enough) return check;
  complain(
      check, *files < least ? Status::kFail : Status::kWarn,
      str("a rank of a job of ", world_size, " needs ", least, ", more for shards and checkpoints"),
      str("ulimit -n ", std::max<std::int64_t>(65536, enough),
          " before mpirun, on every host (a hard limit: /etc/security/limits.conf)"));
  return check;
}

CheckResult check_locked_memory(const std::map<std::string, Limit>& limits, bool rdma) {
  CheckResult check = start(limits, "limit.locked_memory", "Max locked memory", "bytes");
  if (!soft_of(check) || !rdma) return check;
  complain(check, Status::kWarn, "this host has InfiniBand, whose buffers are locked memory",
           "ulimit -l unlimited before mpirun, on every host");
  return check;
}

CheckResult check_processes(const std::map<std::string, Limit>& limits) {
  CheckResult check = start(limits, "limit.processes", "Max processes", "threads");
  const std::optional<std::int64_t> processes = soft_of(check);
  if (!processes || *processes >= 1024) return check;
  complain(check, Status::kWarn, "it counts the threads of all programs of this user",
           "ulimit -u 4096 before mpirun, on every host");
  return check;
}

CheckResult check_core_size(const std::map<std::string, Limit>& limits) {
  CheckResult check = start(limits, "limit.core_size", "Max core file size", "bytes");
  const std::optional<std::int64_t> size = soft_of(check);
  if (size && *size == 0) check.detail = "a crash leaves no core file";
  return check;
}

CheckResult check_file_size(const std::map<std::string, Limit>& limits) {
  CheckResult check = start(limits, "limit.file_size", "Max file size", "bytes");
  if (!soft_of(check)) return check;
  complain(check, Status::kWarn, "a checkpoint or a log that grows beyond it ends a run with 74",
           "ulimit -f unlimited before mpirun, on every host");
  return check;
}

}  // namespace

std::map<std::string, Limit> parse_limits(std::string_view text) {
  std::map<std::string, Limit> limits;
  for (const std::string_view line : lines_of(text)) {
    // The name has single spaces; at least two stand before the numbers.
    const std::size_t end = line.find("  ");
    if (end == std::string_view::npos || !line.starts_with("Max ")) continue;
    const auto words = words_of(line.substr(end));
    if (words.size() < 2) continue;
    const auto soft = limit_of(words[0]);
    const auto hard = limit_of(words[1]);
    if (soft && hard) limits[std::string(line.substr(0, end))] = {*soft, *hard};
  }
  return limits;
}

std::vector<CheckResult> check_limits(const std::map<std::string, Limit>& limits, int world_size,
                                      bool rdma) {
  return {check_open_files(limits, world_size), check_locked_memory(limits, rdma),
          check_processes(limits), check_core_size(limits), check_file_size(limits)};
}

}  // namespace cloze
