#include "trainer/launch/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// Both ends are closed by exec.
struct Pipe {
  Pipe() {
    CLOZE_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0, ExitCode::kTransient,
                  str("cannot make a pipe: ", std::strerror(errno)),
                  "raise the limit of open files");
  }
  int reader() const { return ends[0]; }
  int writer() const { return ends[1]; }
  std::array<int, 2> ends{};
};

// What the child is, once it is forked; only calls that are safe there.
[[noreturn]] void become(char* const* arguments, const Pipe& output, const Pipe& failure,
                         Captured captured, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // It ended before the kernel was told to watch it.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTTOU, SIG_IGN);  // A group in the background may write to the terminal.
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  if (captured == Captured::kEverything) ::dup2(output.writer(), STDOUT_FILENO);
  ::dup2(output.writer(), STDERR_FILENO);
  ::execvp(arguments[0], arguments);
  const int reason = errno;
  (void)!::write(failure.writer(), &reason, sizeof reason);
  ::_exit(1);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command, Captured captured) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const Pipe output;
  const Pipe failure;
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) become(arguments.data(), output, failure, captured, parent);
  const int fork_error = errno;
  ::close(output.writer());
  ::close(failure.writer());
  int reason = 0;
  const bool failed = id_ > 0 && ::read(failure.reader(), &reason, sizeof reason) > 0;
  ::close(failure.reader());
  if (id_ > 0 && !failed) {
    pipe_ = output.reader();
    ::fcntl(pipe_, F_SETFL, O_NONBLOCK);
    return;
  }
  ::close(output.reader());
  CLOZE_REQUIRE(id_ > 0, ExitCode::kTransient,
                str("cannot start ", command.front(), ": ", std::strerror(fork_error)),
                "raise the limit of processes or free memory");
  ::waitpid(id_, nullptr, 0);
  CLOZE_REQUIRE(reason != ENOENT, ExitCode::kUsage,
                str("there is no ", command.front(), " in PATH"),
                "install Open MPI (Debian's openmpi-bin) or put its bin folder in PATH");
  fail(ExitCode::kUsage, str("cannot start ", command.front(), ": ", std::strerror(reason)),
       str("make ", command.front(), " a program that can be run"));
}

ChildProcess::~ChildProcess() {
  if (!ended()) {
    ::kill(-id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  ::close(pipe_);
}

std::optional<std::string> ChildProcess::read() {
  std::array<char, 8192> bytes{};
  const ssize_t count = ::read(pipe_, bytes.data(), bytes.size());
  if (count > 0) return std::string(bytes.data(), static_cast<std::size_t>(count));
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return "";
  return std::nullopt;
}

void ChildProcess::send(int signal) const {
  if (!end_) ::kill(id_, signal);
}

std::optional<ProcessEnd> ChildProcess::ended() {
  int status = 0;
  if (!end_ && ::waitpid(id_, &status, WNOHANG) == id_) {
    end_ = WIFSIGNALED(status) ? ProcessEnd{.by_signal = true, .number = WTERMSIG(status)}
                               : ProcessEnd{.by_signal = false, .number = WEXITSTATUS(status)};
  }
  return end_;
}

std::string output_of(const std::vector<std::string>& command) {
  constexpr std::size_t kEnough = 4096;
  constexpr std::chrono::seconds kPatience(20);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  ChildProcess process(command, Captured::kEverything);
  std::string output;
  while (output.size() < kEnough && std::chrono::steady_clock::now() < deadline) {
    pollfd ready{.fd = process.pipe(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, /*timeout=*/100);
    const std::optional<std::string> bytes = process.read();
    if (!bytes) break;
    output += *bytes;
  }
  return output.substr(0, kEnough);
}

}  // namespace cloze
