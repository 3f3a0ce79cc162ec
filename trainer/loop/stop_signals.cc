#include "trainer/loop/stop_signals.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "parallel/base/check.h"

namespace cloze {

StopSignals::StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  descriptor_ = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  CLOZE_CHECK(descriptor_ >= 0, "cannot watch for signals", "raise the limit of open files");
}

StopSignals::~StopSignals() { ::close(descriptor_); }

bool StopSignals::came() {
  signalfd_siginfo info{};
  while (::read(descriptor_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    came_ = true;
  }
  return came_;
}

}  // namespace cloze
