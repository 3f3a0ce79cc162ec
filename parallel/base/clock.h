// The clock that durations are measured with: it never goes back.
#pragma once

#include <chrono>

namespace cloze {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace cloze
