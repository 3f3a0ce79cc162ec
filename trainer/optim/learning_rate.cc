#include "trainer/optim/learning_rate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "parallel/base/check.h"

namespace cloze {

std::int64_t schedule_steps(std::string_view length, std::int64_t total) {
  const bool share = length.ends_with('%');
  if (share) length.remove_suffix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), number);
  CLOZE_REQUIRE(error == std::errc() && end == length.data() + length.size() && number >= 0,
                ExitCode::kUsage, str("'", length, "' is no number of steps"),
                "write steps, such as 100, or a share of run.steps, such as 2%");
  if (!share) return static_cast<std::int64_t>(number);
  // As steps_of() of trainer/config, which judged it: the small number takes back what rounding
  // of the product may add.
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(total) * number / 100 - 1e-9));
}

double learning_rate(const config::Schedule& schedule, double peak, std::int64_t step,
                     std::int64_t total_steps) {
  const std::int64_t warmup = std::min(schedule_steps(schedule.warmup(), total_steps), total_steps);
  if (step <= warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
  if (schedule.kind() == config::Schedule::constant) return peak;

  // The decay ends with the run at the latest; for wsd it ends there always.
  const std::int64_t wanted = schedule_steps(schedule.decay(), total_steps);
  const std::int64_t decay = std::min(wanted, total_steps - warmup);
  const std::int64_t begin =
      schedule.kind() == config::Schedule::wsd ? total_steps - decay : warmup;
  if (step <= begin || decay == 0) return decay == 0 && step > begin ? schedule.min_lr() : peak;
  const double passed =
      std::min(1.0, static_cast<double>(step - begin) / static_cast<double>(decay));
  const double height = peak - schedule.min_lr();
  if (schedule.kind() == config::Schedule::cosine) {
    return schedule.min_lr() + height * (1 + std::cos(std::numbers::pi * passed)) / 2;
  }
  return peak - height * passed;
}

}  // namespace cloze
