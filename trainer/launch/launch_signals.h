// The signals that a launcher waits for, as something to poll.
#pragma once

#include <optional>

namespace cloze {

// Blocks SIGINT, SIGTERM, SIGUSR1, SIGHUP and SIGCHLD for this thread; the kernel keeps them
// until they are asked for. A SIGHUP that is ignored at the start (nohup) stays so.
class LaunchSignals {
 public:
  LaunchSignals();
  LaunchSignals(const LaunchSignals&) = delete;
  LaunchSignals& operator=(const LaunchSignals&) = delete;
  ~LaunchSignals();

  int descriptor() const { return descriptor_; }  // Can be read when a signal has come.
  // The next one that has come, SIGCHLD included; never waits.
  std::optional<int> next();

 private:
  int descriptor_;
};

}  // namespace cloze
