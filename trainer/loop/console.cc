#include "trainer/loop/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "parallel/base/check.h"

namespace cloze {
namespace {

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

// A number with `decimals` of them; one that would take a whole line as "1.2346e+30", one that is
// none as "inf", "-inf" or "nan".
std::string number_text(double number, int decimals) {
  if (std::isnan(number)) return "nan";
  return format(std::abs(number) < 1e12 ? "%.*f" : "%.*e", decimals, number);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Whether somebody looks at stdout. mpirun gives its first rank a terminal of its own and copies
// from it to wherever mpirun's output goes, so the parent's output must be a terminal too.
bool is_watched() {
  if (::isatty(STDOUT_FILENO) == 0) return false;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/1", static_cast<int>(::getppid()));
  const int descriptor = ::open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return true;  // Not ours to see, such as another user's.
  const bool watched = ::isatty(descriptor) != 0;
  ::close(descriptor);
  return watched;
}

}  // namespace

std::string duration_text(double seconds) {
  constexpr double kLongest = 3.2e10;  // Seconds: a thousand years.
  if (!(seconds >= 0 && seconds < kLongest)) return "?";
  const long long whole = std::llround(seconds);
  if (whole < 60) return format("%lld s", whole);
  if (whole < 3600) return format("%lld min %02lld s", whole / 60, whole % 60);
  return format("%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

std::string count_text(double count) {
  if (std::isnan(count)) return "nan";
  if (count < 0) return "-" + count_text(-count);
  if (!(count < 1e21)) return std::isinf(count) ? "inf" : format("%.2e", count);
  if (count >= 1e9) return format("%.2f B", count / 1e9);
  if (count >= 1e6) return format("%.2f M", count / 1e6);
  if (count >= 1e4) return format("%.1f k", count / 1e3);
  return format("%.0f", count);
}

std::string step_line(std::int64_t step, std::int64_t last_step, const StepReport& report,
                      const StepSpeed& speed) {
  return str("step ", step, "/", last_step, " | loss ", number_text(report.loss(), 4),
             " | grad norm ", number_text(report.gradient_norm, 3), " | lr ",
             std::isnan(report.learning_rate) ? "nan" : format("%.3e", report.learning_rate), " | ",
             count_text(speed.tokens_per_second), " tokens/s | ", number_text(speed.tflops, 3),
             " TFLOP/s | MFU ", number_text(100 * speed.mfu, 1), " % | ETA ",
             duration_text(speed.eta_seconds), report.skipped ? " | skipped" : "");
}

std::string validation_line(std::int64_t step, double loss) {
  return str("step ", step, " validation | loss ", number_text(loss, 4), " | perplexity ",
             number_text(std::exp(loss), 2));
}

Console::Console(bool enabled, std::int64_t last_step)
    : enabled_(enabled), terminal_(enabled && is_watched()), last_step_(last_step) {}

void Console::clear_bar() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stdout);
  bar_shown_ = false;
}

void Console::line(const std::string& text) {
  if (!enabled_) return;
  clear_bar();
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void Console::warning(const std::string& text) {
  if (!enabled_) return;
  clear_bar();
  std::fputs(("warning: " + text + "\n").c_str(), stderr);
}

void Console::step(std::int64_t step, const StepReport& report, const StepSpeed& speed) {
  line(step_line(step, last_step_, report, speed));
}

void Console::progress(std::int64_t step, double loss) {
  if (!terminal_ || now() - last_drawn_ < 0.1) return;
  last_drawn_ = now();
  constexpr int kWidth = 30;
  const double share =
      static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, last_step_));
  const int filled = static_cast<int>(share * kWidth);
  const std::string bar = std::string(static_cast<std::size_t>(filled), '#') +
                          std::string(static_cast<std::size_t>(kWidth - filled), '.');
  std::fputs(
      str("\r\033[K[", bar, "] ", step, "/", last_step_, " loss ", number_text(loss, 4)).c_str(),
      stdout);
  std::fflush(stdout);
  bar_shown_ = true;
}

}  // namespace cloze
