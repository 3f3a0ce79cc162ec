// Another process, with a limit of time: what it prints and how it ends.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace cloze {

struct ProgramOutput {
  int code = -1;           // The exit code, or 128 + the signal that ended it.
  bool timed_out = false;  // It was killed at the limit.
  std::string text{};      // Standard output and error together, at most 64 KiB.
};

// A program of the PATH. Code 127 when there is none of this name.
ProgramOutput run_program(const std::vector<std::string>& words, std::chrono::milliseconds limit);

// The same for a copy of this process that runs `body` and ends with what it returns. Call it while
// the process has one thread.
ProgramOutput run_copy(const std::function<int()>& body, std::chrono::milliseconds limit);

}  // namespace cloze
