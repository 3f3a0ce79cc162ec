#include "trainer/doctor/memory.h"

#include "parallel/base/check.h"
#include "trainer/doctor/system_text.h"

namespace cloze {

std::map<std::string, std::int64_t> parse_meminfo(std::string_view text) {
  std::map<std::string, std::int64_t> sizes;
  for (const std::string_view line : lines_of(text)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto words = words_of(line.substr(colon + 1));
    if (words.size() != 2 || words[1] != "kB") continue;
    if (const auto kilobytes = number_of(words[0])) {
      sizes[std::string(line.substr(0, colon))] = *kilobytes * 1024;
    }
  }
  return sizes;
}

std::optional<std::string> parse_chosen(std::string_view text) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open);
  if (open == std::string_view::npos || close == std::string_view::npos) return std::nullopt;
  return std::string(text.substr(open + 1, close - open - 1));
}

CheckResult check_memory(const std::map<std::string, std::int64_t>& meminfo, int ranks_of_host) {
  const auto available = meminfo.find("MemAvailable");
  const auto total = meminfo.find("MemTotal");
  if (available == meminfo.end()) {
    return unknown("memory.available", "/proc/meminfo does not say");
  }
  CheckResult check{
      .name = "memory.available", .value = available->second, .unit = std::string("bytes")};
  if (total != meminfo.end()) {
    check.detail = str("of ", value_text({.value = total->second, .unit = "bytes"}));
  }
  // A rank of the smallest model, with LibTorch and MPI, takes a few hundred MiB.
  constexpr std::int64_t kRank = std::int64_t{1} << 30;
  if (available->second < kRank * ranks_of_host) {
    complain(check, Status::kWarn,
             str("less than 1 GiB for each of ", ranks_of_host,
                 ranks_of_host == 1 ? " rank" : " ranks", " of the host"),
             "end other programs, or start fewer ranks on this host");
  }
  return check;
}

CheckResult check_huge_pages(const std::optional<std::string>& chosen) {
  if (!chosen) return unknown("memory.huge_pages", "the kernel shows no setting");
  CheckResult check{.name = "memory.huge_pages", .value = *chosen};
  if (*chosen == "never") {
    complain(check, Status::kWarn,
             "large tensors get small pages, which costs a few percent of speed",
             "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
  } else {
    check.detail = "large tensors ask for them";
  }
  return check;
}

std::int64_t shared_memory_need(int ranks_of_host) {
  // Measured with Open MPI 4.1: 8.2 to 8.6 MiB of control files, then up to 4 MiB a rank for what
  // it sends, of which a job that has not sent much has used little.
  constexpr std::int64_t kBase = std::int64_t{9} << 20;
  constexpr std::int64_t kRank = std::int64_t{5} << 20;
  return kBase + kRank * ranks_of_host;
}

CheckResult check_shared_memory(const std::optional<Space>& space, int ranks_of_host) {
  if (!space) {
    return {.name = "shm.free",
            .status = Status::kWarn,
            .detail = "there is no /dev/shm: ranks of one host cannot talk through memory",
            .fix = "mount a tmpfs at /dev/shm"};
  }
  const std::int64_t need = shared_memory_need(ranks_of_host);
  CheckResult check{.name = "shm.free", .value = space->free_bytes, .unit = "bytes"};
  check.detail = str("of ", value_text({.value = space->total_bytes, .unit = "bytes"}));
  const std::string wanted =
      str(ranks_of_host, ranks_of_host == 1 ? " rank takes " : " ranks take ",
          value_text({.value = need, .unit = "bytes"}));
  const std::string fix =
      "remove what dead programs left in /dev/shm, or enlarge it (docker run --shm-size=1g; "
      "mount -o remount,size=1g /dev/shm)";
  if (space->free_bytes < need) {
    complain(check, Status::kFail, str("too small for MPI's shared memory: ", wanted), fix);
  } else if (space->free_bytes < 2 * need) {
    complain(check, Status::kWarn, str("hardly enough for MPI's shared memory: ", wanted), fix);
  }
  return check;
}

}  // namespace cloze
