#include "trainer/doctor/fabric.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "parallel/base/check.h"
#include "trainer/doctor/median.h"

namespace cloze {
namespace {

std::string text_in(double number, const char* unit) {
  return value_text({.value = number, .unit = unit});
}

std::string spread_text(const std::vector<double>& values, const char* unit) {
  return str("min ", text_in(*std::ranges::min_element(values), unit), ", median ",
             text_in(median_of(values), unit), ", max ",
             text_in(*std::ranges::max_element(values), unit));
}

bool same_host(const FabricTimes& times, const PairTimes& pair) {
  return times.hosts[static_cast<std::size_t>(pair.first)] ==
         times.hosts[static_cast<std::size_t>(pair.second)];
}

std::string pair_text(const FabricTimes& times, const PairTimes& pair) {
  const std::string& first = times.hosts[static_cast<std::size_t>(pair.first)];
  const std::string& second = times.hosts[static_cast<std::size_t>(pair.second)];
  return str("ranks ", pair.first, "-", pair.second, " (", first,
             first == second ? "" : str(" - ", second), ")");
}

CheckResult check_hosts(const FabricTimes& times) {
  std::map<std::string, int> ranks;
  for (const std::string& host : times.hosts) ++ranks[host];
  CheckResult check{.name = "fabric.hosts", .scope = Scope::kJob};
  check.value =
      str(times.hosts.size(), " ranks on ", ranks.size(), ranks.size() == 1 ? " host" : " hosts");
  std::string together;
  std::string apart;
  for (const PairTimes& pair : times.pairs) {
    std::string& list = same_host(times, pair) ? together : apart;
    list += str(list.empty() ? "" : ", ", pair.first, "-", pair.second);
  }
  check.detail = str("neighbours on one host: ", together.empty() ? "none" : together,
                     "; on two: ", apart.empty() ? "none" : apart);
  return check;
}

struct PairFigure {
  const char* name;
  const char* unit;
  double (*value)(const PairTimes&);
  double (*cost)(const PairTimes&);  // The larger, the slower.
  double too_much;                   // Slower than the median of its kind by this factor is odd.
};

CheckResult check_pairs(const FabricTimes& times, const PairFigure& figure) {
  std::vector<double> values;
  std::vector<double> costs_together;
  std::vector<double> costs_apart;
  for (const PairTimes& pair : times.pairs) {
    values.push_back(figure.value(pair));
    (same_host(times, pair) ? costs_together : costs_apart).push_back(figure.cost(pair));
  }
  const PairTimes& worst = *std::ranges::max_element(times.pairs, {}, figure.cost);
  CheckResult check{.name = figure.name, .unit = figure.unit, .scope = Scope::kJob};
  check.value = median_of(values);
  check.detail = str(spread_text(values, figure.unit), "; slowest ", pair_text(times, worst));
  // Pairs on one host are compared with such pairs, the others with theirs.
  std::string odd;
  for (const PairTimes& pair : times.pairs) {
    const std::vector<double>& kind = same_host(times, pair) ? costs_together : costs_apart;
    if (kind.size() < 3 || figure.cost(pair) <= figure.too_much * median_of(kind)) continue;
    odd += str(odd.empty() ? "" : ", ", pair_text(times, pair));
  }
  if (!odd.empty()) {
    complain(check, Status::kWarn,
             str("more than ", figure.too_much, " times slower than its kind: ", odd),
             "look at cable, port and load of these hosts, or leave them out of the hostfile");
  }
  return check;
}

// What to look at when all is slow.
std::string fix_of_slowness(const FabricTimes& times) {
  const bool one_host = std::ranges::all_of(
      times.pairs, [&](const PairTimes& pair) { return same_host(times, pair); });
  return one_host ? "the host is busy, or ranks that wait keep its cores busy: end other programs, "
                    "start with scripts/mpirun, or start fewer ranks"
                  : "look whether MPI uses the fast network (--mca btl_tcp_if_include)";
}

CheckResult check_latency(const FabricTimes& times) {
  CheckResult check =
      check_pairs(times, {.name = "fabric.latency",
                          .unit = "s",
                          .value = [](const PairTimes& pair) { return pair.latency_seconds; },
                          .cost = [](const PairTimes& pair) { return pair.latency_seconds; },
                          .too_much = 10});
  constexpr double kTooLong = 1e-3;
  if (check.status == Status::kOk && std::get<double>(check.value) > kTooLong) {
    complain(check, Status::kWarn, "more than 1 ms", fix_of_slowness(times));
  }
  return check;
}

CheckResult check_bandwidth(const FabricTimes& times) {
  CheckResult check =
      check_pairs(times, {.name = "fabric.bandwidth",
                          .unit = "bytes/s",
                          .value = [](const PairTimes& pair) { return pair.bytes_per_second; },
                          .cost = [](const PairTimes& pair) { return 1 / pair.bytes_per_second; },
                          .too_much = 4});
  constexpr double kTooSlow = 100e6;
  if (check.status == Status::kOk && std::get<double>(check.value) < kTooSlow) {
    complain(check, Status::kWarn, "less than a gigabit network carries", fix_of_slowness(times));
  }
  return check;
}

CheckResult check_all_reduce(const FabricTimes& times) {
  const std::vector<double>& seconds = times.all_reduce_seconds;
  CheckResult check{.name = "fabric.all_reduce", .unit = "s", .scope = Scope::kJob};
  check.value = median_of(seconds);
  check.detail = str(value_text({.value = times.all_reduce_bytes, .unit = "bytes"}), " over ",
                     times.hosts.size(), " ranks: ", spread_text(seconds, "s"));
  return check;
}

CheckResult check_deadline(const FabricTimes& times, std::int64_t deadline_seconds) {
  const double slowest = *std::ranges::max_element(times.all_reduce_seconds);
  CheckResult check{
      .name = "fabric.deadline", .value = deadline_seconds, .unit = "s", .scope = Scope::kJob};
  check.detail = str("run.deadline_seconds when it is not set; the slowest call here took ",
                     text_in(slowest, "s"));
  if (slowest > 0.01 * static_cast<double>(deadline_seconds)) {
    check.status = Status::kWarn;
    check.detail += ", more than 1 % of it";
    check.fix = "a gradient is larger than what was sent here: raise run.deadline_seconds";
  }
  return check;
}

CheckResult check_skew(const FabricTimes& times) {
  constexpr double kMost = 1.0;
  std::size_t worst = 0;
  for (std::size_t rank = 0; rank < times.clocks.size(); ++rank) {
    if (std::abs(times.clocks[rank].seconds) > std::abs(times.clocks[worst].seconds)) worst = rank;
  }
  const ClockOffset& offset = times.clocks[worst];
  CheckResult check{.name = "clock.skew", .unit = "us", .scope = Scope::kJob};
  check.value = offset.seconds * 1e6;
  check.detail = str("the largest offset to rank 0: rank ", worst, " on ", times.hosts[worst],
                     ", uncertain by ", text_in(offset.uncertainty, "s"));
  if (std::abs(offset.seconds) > kMost) {
    complain(check, Status::kWarn, "logs and traces of hosts are ordered by their clocks",
             "run a time service on every host (chrony, or timedatectl set-ntp true)");
  }
  return check;
}

}  // namespace

PairTimes pair_times(int first, int second, double small_round_trip, double large_round_trip,
                     std::int64_t large_bytes) {
  return {.first = first,
          .second = second,
          .latency_seconds = small_round_trip / 2,
          .bytes_per_second = static_cast<double>(large_bytes) / (large_round_trip / 2)};
}

std::vector<CheckResult> check_fabric(const FabricTimes& times, std::int64_t deadline_seconds) {
  return {check_hosts(times),
          check_latency(times),
          check_bandwidth(times),
          check_all_reduce(times),
          check_deadline(times, deadline_seconds),
          check_skew(times)};
}

std::vector<CheckResult> skip_fabric() {
  CheckResult fabric{.name = "fabric", .status = Status::kSkip, .scope = Scope::kJob};
  fabric.value = std::string("not measured");
  fabric.detail =
      "this process is alone; mpirun -n 2 cloze doctor measures latency, bandwidth, all-reduce and "
      "clock skew between ranks (a rank on each host: --hostfile HOSTS --map-by node)";
  return {fabric};
}

}  // namespace cloze
