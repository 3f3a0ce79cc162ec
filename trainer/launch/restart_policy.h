// Whether a job that ended is started again, and after how long.
#pragma once

#include <chrono>
#include <vector>

#include "trainer/launch/job_end.h"

namespace cloze {

struct Decision {
  enum class Kind {
    kEnd,        // It is done, or a restart would not help.
    kSpent,      // A restart might help, but no more are allowed.
    kCrashLoop,  // It fails the same way at the same step again and again.
    kRestart,
  };
  Kind kind = Kind::kEnd;
  int restart = 0;               // Of kRestart: its number, from 1, since the last progress.
  std::chrono::seconds wait{0};  // Of kRestart.
  bool operator==(const Decision&) const = default;
};

// So many equal failures in a row are a crash loop.
constexpr int kCrashLoopLength = 3;

// `ends`: of all jobs so far, the last one is to be decided on. Restarts are counted since the
// last progress, which is a new checkpoint: a run of weeks may meet many faults, and each that
// costs less than one checkpoint interval is behind it once the next checkpoint stands. The wait
// doubles with each restart, from one second up to a minute.
Decision decide(const std::vector<JobEnd>& ends, int max_restarts);

// The same code at the same step, in words that are equal but for numbers such as processes and
// times.
bool is_same_failure(const JobEnd& a, const JobEnd& b);

}  // namespace cloze
