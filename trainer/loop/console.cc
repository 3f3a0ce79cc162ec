#include "trainer/loop/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace cloze {
namespace {

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
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
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return format("%lld s", whole);
  if (whole < 3600) return format("%lld min %02lld s", whole / 60, whole % 60);
  return format("%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

std::string count_text(double count) {
  if (count >= 1e9) return format("%.2f B", count / 1e9);
  if (count >= 1e6) return format("%.2f M", count / 1e6);
  if (count >= 1e4) return format("%.1f k", count / 1e3);
  return format("%.0f", count);
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
  if (!enabled_) return;
  std::string text = format("step %lld/%lld | loss %.4f | grad norm %.3f | lr %.3e | %s tokens/s",
                            static_cast<long long>(step), static_cast<long long>(last_step_),
                            report.loss(), report.gradient_norm, report.learning_rate,
                            count_text(speed.tokens_per_second).c_str());
  text += format(" | %.3f TFLOP/s | MFU %.1f %% | ETA %s", speed.tflops, 100 * speed.mfu,
                 duration_text(speed.eta_seconds).c_str());
  if (report.skipped) text += " | skipped";
  line(text);
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
  std::fputs(format("\r\033[K[%s] %lld/%lld loss %.4f", bar.c_str(), static_cast<long long>(step),
                    static_cast<long long>(last_step_), loss)
                 .c_str(),
             stdout);
  std::fflush(stdout);
  bar_shown_ = true;
}

}  // namespace cloze
