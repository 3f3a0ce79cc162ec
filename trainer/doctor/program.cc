#include "trainer/doctor/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"

namespace cloze {
namespace {

class Pipe {
 public:
  Pipe() {
    CLOZE_REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0, ExitCode::kIo, "cannot make a pipe",
                  "raise the limit of open files: ulimit -n");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    ::close(ends_[0]);
    close_writer();
  }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }

 private:
  int ends_[2] = {-1, -1};
};

// Reads until the program has ended, or the limit; true when it has ended. Not until the pipe is
// closed: what it has started may keep that open.
bool read_all(const Pipe& pipe, pid_t child, Clock::time_point deadline, std::string& text,
              int& status, bool& reaped) {
  constexpr std::size_t kMost = std::size_t{64} << 10;
  bool open = true;
  while (Clock::now() < deadline) {
    pollfd waiting{.fd = open ? pipe.reader() : -1, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, reaped ? 0 : 20) > 0) {
      char block[4096];
      const ssize_t count = ::read(pipe.reader(), block, sizeof block);
      open = count != 0;  // It may close its output and go on.
      if (count > 0 && text.size() < kMost) text.append(block, static_cast<std::size_t>(count));
      continue;
    }
    if (reaped) return true;  // And all that it wrote has been read.
    reaped = ::waitpid(child, &status, WNOHANG) == child;
  }
  return false;
}

template <typename Body>
ProgramOutput run_child(const Body& body, std::chrono::milliseconds limit) {
  Pipe pipe;
  std::fflush(nullptr);  // What is buffered would be written twice.
  const pid_t child = ::fork();
  CLOZE_REQUIRE(child >= 0, ExitCode::kIo, "cannot start another process",
                "raise the limit of processes: ulimit -u");
  if (child == 0) {
    ::setpgid(0, 0);
    ::dup2(pipe.writer(), STDOUT_FILENO);
    ::dup2(pipe.writer(), STDERR_FILENO);
    ::_exit(body());
  }
  pipe.close_writer();
  ProgramOutput output;
  int status = 0;
  bool reaped = false;
  if (!read_all(pipe, child, Clock::now() + limit, output.text, status, reaped)) {
    output.timed_out = true;
    ::kill(-child, SIGKILL);  // With what it has started.
    ::kill(child, SIGKILL);
  }
  while (!reaped && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  output.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return output;
}

}  // namespace

ProgramOutput run_program(const std::vector<std::string>& words, std::chrono::milliseconds limit) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  return run_child(
      [&] {
        ::execvp(arguments.front(), arguments.data());
        return 127;
      },
      limit);
}

ProgramOutput run_copy(const std::function<int()>& body, std::chrono::milliseconds limit) {
  return run_child(
      [&] {
        const int code = body();
        std::fflush(nullptr);
        return code;
      },
      limit);
}

}  // namespace cloze
