#include "trainer/launch/launch_signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "parallel/base/check.h"

namespace cloze {

LaunchSignals::LaunchSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD}) sigaddset(&signals, signal);
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  descriptor_ = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  CLOZE_REQUIRE(descriptor_ >= 0, ExitCode::kTransient, "cannot watch for signals",
                "raise the limit of open files");
}

LaunchSignals::~LaunchSignals() { ::close(descriptor_); }

std::optional<int> LaunchSignals::next() {
  signalfd_siginfo info{};
  if (::read(descriptor_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) {
    return std::nullopt;
  }
  return static_cast<int>(info.ssi_signo);
}

}  // namespace cloze
