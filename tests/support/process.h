// Starts programs, watches them, signals them: for tests of whole processes.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cloze {

// How a process ended. `code` is the exit code, or 128 + the signal that ended it.
struct Outcome {
  int code = -1;
  bool timed_out = false;        // It was killed by wait(), not by itself.
  double cpu_seconds = 0;        // Of the process and those it waited for.
  std::int64_t peak_memory = 0;  // Bytes that it held at once.
  std::string out;               // Standard output.
  std::string err;               // Standard error.
};

// A program in a process group of its own; its output goes to files, so it never waits for us.
class Process {
 public:
  // `command` is a program's path and its arguments, started in `folder`.
  Process(const std::vector<std::string>& command, const std::filesystem::path& folder);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // Kills what still runs of the group.

  pid_t id() const { return id_; }
  void send(int signal) const;
  bool running();

  // Waits for the end; kills the group after `limit`.
  Outcome wait(std::chrono::seconds limit = std::chrono::seconds(150));

 private:
  void reap(int flags);

  pid_t id_ = -1;
  bool ended_ = false;
  int status_ = 0;
  rusage usage_{};
  std::filesystem::path out_;
  std::filesystem::path err_;
};

Outcome run_process(const std::vector<std::string>& command, const std::filesystem::path& folder);

// The processes below `ancestor` whose program is called `name`, by number.
std::vector<pid_t> descendants_of(pid_t ancestor, const std::string& name);
bool is_alive(pid_t process);

// Asks every few milliseconds; false after `limit`.
bool wait_until(const std::function<bool()>& condition,
                std::chrono::seconds limit = std::chrono::seconds(60));

std::string text_of_file(const std::filesystem::path& path);

}  // namespace cloze
