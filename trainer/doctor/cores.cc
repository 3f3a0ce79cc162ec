#include "trainer/doctor/cores.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/system_file.h"
#include "trainer/doctor/cpu.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

std::string threads_text(int count) { return str(count, count == 1 ? " thread" : " threads"); }
std::string cores_text(std::size_t count) { return str(count, count == 1 ? " core" : " cores"); }

std::string ranks_text(const std::vector<const RankPlace*>& places) {
  std::vector<int> ranks;
  for (const RankPlace* place : places) ranks.push_back(place->rank);
  return rank_list_text(std::move(ranks));
}

int threads_of(const std::vector<const RankPlace*>& places) {
  int threads = 0;
  for (const RankPlace* place : places) threads += place->threads;
  return threads;
}

CheckResult check_host(const std::vector<const RankPlace*>& places) {
  CheckResult check{.name = "cpu.load"};
  std::set<int> used;
  std::map<std::vector<int>, std::vector<const RankPlace*>> sharers;
  for (const RankPlace* place : places) {
    used.insert(place->cores.begin(), place->cores.end());
    sharers[place->cores].push_back(place);
  }
  if (used.empty() || sharers.contains({})) {
    return unknown("cpu.load", "the affinity masks cannot be seen");
  }
  const int threads = threads_of(places);
  const auto cores = static_cast<int>(used.size());
  check.value = str(places.size(), places.size() == 1 ? " rank, " : " ranks, ",
                    threads_text(threads), " on ", cores_text(used.size()));
  // A rank that alone has too many threads is told of by check_binding.
  for (const auto& [mask, ranks] : sharers) {
    if (ranks.size() < 2 || threads_of(ranks) <= static_cast<int>(mask.size())) continue;
    complain(check, Status::kWarn,
             str(ranks_text(ranks), " share ", mask.size() == 1 ? "core " : "cores ",
                 cpu_list_text(mask), " with ", threads_text(threads_of(ranks))),
             str("start fewer ranks on this host, set OMP_NUM_THREADS=",
                 std::max<std::size_t>(1, mask.size() / ranks.size()),
                 ", or give each rank its own cores (mpirun --map-by slot:PE=THREADS)"));
    return check;
  }
  const int available = places.front()->host_cores;
  if (available > cores && threads <= cores) {
    complain(check, Status::kWarn,
             str(available - cores, " of the host's ", available,
                 " cores are closed to the ranks, which are bound to the others"),
             "start with mpirun --bind-to none, or bind more cores (--map-by slot:PE=THREADS)");
  } else if (threads < cores) {
    check.detail = str(cores_text(static_cast<std::size_t>(cores - threads)), " idle");
  }
  return check;
}

}  // namespace

std::optional<std::vector<int>> parse_allowed_cores(std::string_view status) {
  constexpr std::string_view kKey = "Cpus_allowed_list:";
  for (const std::string_view line : lines_of(status)) {
    if (line.starts_with(kKey)) return parse_cpu_list(line.substr(kKey.size()));
  }
  return std::nullopt;
}

std::optional<std::vector<int>> allowed_cores() {
  const std::optional<std::string> status = system_text("/proc/self/status");
  return status ? parse_allowed_cores(*status) : std::nullopt;
}

std::string pack(const RankPlace& place) {
  return nlohmann::json{place.rank, place.host, place.cores, place.threads, place.host_cores}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankPlace unpack_place(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  return {.rank = json.at(0).get<int>(),
          .host = json.at(1).get<std::string>(),
          .cores = json.at(2).get<std::vector<int>>(),
          .threads = json.at(3).get<int>(),
          .host_cores = json.at(4).get<int>()};
}

CheckResult check_binding(const RankPlace& place) {
  CheckResult check{.name = "cpu.binding", .scope = Scope::kRank};
  if (place.cores.empty()) {
    check.status = Status::kSkip;
    check.detail = "the affinity mask cannot be seen";
    return check;
  }
  check.value = str(threads_text(place.threads), " on ", cores_text(place.cores.size()), " (",
                    cpu_list_text(place.cores), ")");
  if (place.threads > static_cast<int>(place.cores.size())) {
    complain(check, Status::kWarn,
             "more threads than cores: the threads of a rank wait for each other",
             str("start with mpirun --bind-to none or --map-by slot:PE=", place.threads,
                 ", or set OMP_NUM_THREADS=", place.cores.size()));
  }
  return check;
}

std::vector<CheckResult> check_load(const std::vector<RankPlace>& places,
                                    std::vector<std::string>& hosts) {
  std::vector<std::vector<const RankPlace*>> by_host;
  hosts.clear();
  for (const RankPlace& place : places) {
    const auto known = std::ranges::find(hosts, place.host);
    if (known == hosts.end()) {
      hosts.push_back(place.host);
      by_host.push_back({&place});
    } else {
      by_host[static_cast<std::size_t>(known - hosts.begin())].push_back(&place);
    }
  }
  std::vector<CheckResult> checks;
  checks.reserve(by_host.size());
  for (const auto& ranks : by_host) checks.push_back(check_host(ranks));
  return checks;
}

}  // namespace cloze
