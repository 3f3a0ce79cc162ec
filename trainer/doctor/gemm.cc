#include "trainer/doctor/gemm.h"

#include <algorithm>

#include "parallel/base/check.h"
#include "trainer/doctor/median.h"

namespace cloze {
namespace {

// A rank is slow when it has less than this share of the median.
constexpr double kSlowShare = 0.7;
// Threads help little when they reach less than this share of as many single threads.
constexpr double kUsefulShare = 0.6;

std::string text_of(double rate) { return value_text({.value = rate, .unit = "FLOP/s"}); }

CheckResult check_rates(const char* name, const std::vector<double>& rates) {
  const double median = median_of(rates);
  CheckResult check{.name = name, .value = median, .unit = "FLOP/s", .scope = Scope::kJob};
  if (rates.size() < 2) return check;
  const auto [least, most] = std::ranges::minmax_element(rates);
  const auto slowest = least - rates.begin();
  check.detail = str("min ", text_of(*least), " (rank ", slowest, "), median ", text_of(median),
                     ", max ", text_of(*most));
  if (*least < kSlowShare * median) {
    complain(check, Status::kWarn, "every step waits for the slowest rank",
             str("look for other programs on the host of rank ", slowest,
                 ", or for ranks that share cores"));
  }
  return check;
}

}  // namespace

std::vector<CheckResult> check_gemm(const GemmRates& rates) {
  CheckResult one = check_rates("cpu.gemm_thread", rates.one_thread);
  CheckResult all = check_rates("cpu.gemm_rank", rates.all_threads);
  std::string poor;
  for (std::size_t rank = 0; rank < rates.threads.size(); ++rank) {
    const double possible = rates.one_thread[rank] * rates.threads[rank];
    if (rates.threads[rank] > 1 && rates.all_threads[rank] < kUsefulShare * possible) {
      poor += str(poor.empty() ? "" : ", ", rank);
    }
  }
  const int most = *std::ranges::max_element(rates.threads);
  all.detail = str(most, most == 1 ? " thread a rank" : " threads a rank",
                   all.detail.empty() ? "" : "; ", all.detail);
  if (!poor.empty() && all.status == Status::kOk) {
    complain(all, Status::kWarn,
             str("the threads of rank ", poor,
                 " are much slower together than alone: they share cores, or the host is busy"),
             "give each thread its own core, or set OMP_NUM_THREADS lower");
  }
  return {one, all};
}

std::vector<CheckResult> skip_gemm() {
  std::vector<CheckResult> checks;
  for (const char* name : {"cpu.gemm_thread", "cpu.gemm_rank"}) {
    checks.push_back({.name = name,
                      .status = Status::kSkip,
                      .value = std::string("not measured"),
                      .detail = "LibTorch does not work here",
                      .scope = Scope::kJob});
  }
  return checks;
}

}  // namespace cloze
