// A program that this process starts and watches.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "trainer/launch/job_end.h"

namespace cloze {

enum class Captured {
  kErrors,      // Standard error; standard output goes where this process's goes.
  kEverything,  // Both.
};

// It runs in a process group of its own, so that a Ctrl-C at the terminal reaches this process
// alone; reads nothing; and gets SIGTERM from the kernel when this process ends, however it ends.
// Make it on the main thread: the kernel watches the thread.
class ChildProcess {
 public:
  // `command` is a program, looked up in PATH, and its arguments. Throws Error kUsage when there
  // is no such program, kTransient when the system can start no more.
  ChildProcess(const std::vector<std::string>& command, Captured captured);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();  // Kills it when it still runs.

  // Reading it never waits. Closed at the other end: see read().
  int pipe() const { return pipe_; }
  // What has come through the pipe, up to some kilobytes; empty when nothing has. Nothing at all
  // when the other end is closed.
  std::optional<std::string> read();

  void send(int signal) const;
  // How it ended, once it has.
  std::optional<ProcessEnd> ended();

 private:
  pid_t id_ = -1;
  int pipe_ = -1;
  std::optional<ProcessEnd> end_;
};

// Runs a short command to its end and returns what it writes, some kilobytes at most. Kills it
// after some seconds. Throws what ChildProcess throws.
std::string output_of(const std::vector<std::string>& command);

}  // namespace cloze
