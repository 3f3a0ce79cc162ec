// How a job ended, and why: the exit code, and the first cause in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "parallel/base/check.h"
#include "trainer/launch/job_messages.h"

namespace cloze {

// Shells and mpirun tell of signal s as exit code 128 + s.
constexpr int kFirstSignalCode = 128;

// How a process ended: with an exit code, or by a signal.
struct ProcessEnd {
  bool by_signal = false;
  int number = 0;  // The code or the signal.
  bool operator==(const ProcessEnd&) const = default;
};

// How far a run has come, as its folder tells. -1: not that far.
struct RunProgress {
  std::int64_t logged_step = -1;      // The last one in metrics.jsonl.
  std::int64_t checkpoint_step = -1;  // The newest good one.
  bool operator==(const RunProgress&) const = default;
};

struct JobEnd {
  int code = 0;            // What the launcher ends with when it does not start the job again.
  std::string cause{};     // In one sentence; empty when nothing went wrong.
  std::string fix{};       // What a user can do about it; empty when a rank has told already.
  int rank = 0;            // The one that the cause is about.
  std::int64_t step = -1;  // Where it happened, as far as one knows; -1: before the first.
  std::int64_t checkpoint_step = -1;  // The newest good one that the job left.
  bool operator==(const JobEnd&) const = default;
};

// What a job's end means, from what mpirun ended with and what it and the ranks wrote.
JobEnd job_end(const ProcessEnd& mpirun, const JobMessages& messages, const RunProgress& progress);

enum class Verdict {
  kDone,       // Trained up to the last step.
  kPreempted,  // Saved because somebody asked for it.
  kFinal,      // It would end the same way again.
  kTransient,  // A restart may help.
};
Verdict verdict_of(int code);

}  // namespace cloze
