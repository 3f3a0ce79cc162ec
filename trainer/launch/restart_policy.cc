#include "trainer/launch/restart_policy.h"

#include <algorithm>

namespace cloze {
namespace {

constexpr std::chrono::seconds kFirstWait{1};
constexpr std::chrono::seconds kLongestWait{60};
constexpr int kMostDoublings = 6;  // Those up to the longest wait.

// Each run of digits becomes one '#'.
std::string without_numbers(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    const bool digit = letter >= '0' && letter <= '9';
    if (!digit) {
      result += letter;
    } else if (result.empty() || result.back() != '#') {
      result += '#';
    }
  }
  return result;
}

bool is_crash_loop(const std::vector<JobEnd>& ends) {
  if (ends.size() < kCrashLoopLength) return false;
  return std::all_of(ends.end() - kCrashLoopLength, ends.end(),
                     [&](const JobEnd& end) { return is_same_failure(end, ends.back()); });
}

// Ends since the newest checkpoint was made, the last one included.
int failures_without_progress(const std::vector<JobEnd>& ends) {
  const auto before = std::find_if(ends.rbegin(), ends.rend(), [&](const JobEnd& end) {
    return end.checkpoint_step < ends.back().checkpoint_step;
  });
  return static_cast<int>(before - ends.rbegin());
}

}  // namespace

bool is_same_failure(const JobEnd& a, const JobEnd& b) {
  // Which rank tells of a lost peer is chance; which one a signal ends is not.
  const bool by_signal = a.code > kFirstSignalCode;
  return a.code == b.code && a.step == b.step && (!by_signal || a.rank == b.rank) &&
         without_numbers(a.cause) == without_numbers(b.cause);
}

Decision decide(const std::vector<JobEnd>& ends, int max_restarts) {
  if (ends.empty() || verdict_of(ends.back().code) != Verdict::kTransient) return {};
  if (max_restarts > 0 && is_crash_loop(ends)) return {.kind = Decision::Kind::kCrashLoop};
  const int restart = failures_without_progress(ends);
  if (restart > max_restarts) return {.kind = Decision::Kind::kSpent};
  const int doublings = std::min(restart - 1, kMostDoublings);
  return {.kind = Decision::Kind::kRestart,
          .restart = restart,
          .wait = std::min(kLongestWait, kFirstWait * (1 << doublings))};
}

}  // namespace cloze
