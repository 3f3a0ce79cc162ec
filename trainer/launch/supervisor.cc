#include "trainer/launch/supervisor.h"

#include <poll.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "trainer/launch/orphans.h"

namespace cloze {
namespace {

// What stands in mpirun's output for so long is all of it.
constexpr int kQuietMilliseconds = 1000;

constexpr int kPreemptedCode = static_cast<int>(ExitCode::kPreempted);

std::string name_of(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? str("signal ", signal) : str("SIG", name);
}

std::string checkpoint_text(const JobEnd& end) {
  return end.checkpoint_step < 0 ? "from the start, there is no good checkpoint"
                                 : str("from the checkpoint of step ", end.checkpoint_step);
}

}  // namespace

Supervisor::Supervisor(JobHooks hooks, int max_restarts)
    : hooks_(std::move(hooks)), max_restarts_(max_restarts) {
  adopt_orphans();
}

int Supervisor::run() {
  std::vector<JobEnd> ends;
  while (true) {
    const auto restarts = static_cast<int>(ends.size());
    ends.push_back(run_job(restarts));
    const JobEnd& end = ends.back();
    // Whoever asked the job to end does not want it started again.
    if (stop_signal_ != 0) return end.code;
    const Decision decision = decide(ends, max_restarts_);
    const bool again = decision.kind == Decision::Kind::kRestart;
    tell(end, decision, restarts + (again ? 1 : 0));
    if (!again) return end.code;
    sleep(decision.wait);
    if (stop_signal_ == 0) continue;
    console_.line(str(name_of(stop_signal_), " while no rank runs; the same command goes on ",
                      checkpoint_text(end)));
    return kPreemptedCode;
  }
}

JobEnd Supervisor::run_job(int restarts) {
  JobMessages messages;
  ProcessEnd mpirun_end;
  {
    ChildProcess mpirun(hooks_.command(restarts), Captured::kErrors);
    mpirun_end = watch(mpirun, messages);
  }
  // mpirun ends its ranks itself, unless it was killed.
  if (const int count = end_orphans(); count > 0) {
    console_.line(str("killed ", count, " processes that mpirun had left"));
  }
  const JobEnd end = end_of_job(mpirun_end, messages);
  if (!end.fix.empty()) {
    console_.clear_bar();
    hooks_.report(end);
  } else if (messages.dead_rank() && !end.cause.empty()) {
    console_.line(end.cause);
  }
  return end;
}

ProcessEnd Supervisor::watch(ChildProcess& mpirun, JobMessages& messages) {
  std::array<pollfd, 2> ready = {
      pollfd{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0},
      pollfd{.fd = mpirun.pipe(), .events = POLLIN, .revents = 0}};
  std::optional<ProcessEnd> end;
  while (true) {
    // Once it has ended, only what is left in the pipe is waited for, and that is there already.
    end = mpirun.ended();
    const int count = ::poll(ready.data(), ready.size(), end ? 0 : kQuietMilliseconds);
    pass_signals_to(mpirun);
    const bool has_output = count > 0 && ready[1].revents != 0;
    if (has_output) {
      if (const std::optional<std::string> bytes = mpirun.read()) {
        console_.pass(messages.take(*bytes));
      } else {
        ready[1].fd = -1;  // Closed: poll() skips it.
      }
    } else if (count == 0) {
      console_.pass(messages.flush());
    }
    if (end && !has_output) break;
  }
  console_.pass(messages.flush());
  return *end;
}

void Supervisor::pass_signals_to(const ChildProcess& mpirun) {
  while (const std::optional<int> signal = signals_.next()) {
    if (*signal == SIGCHLD) continue;
    if (stop_signal_ == 0) {
      stop_signal_ = *signal;
      // mpirun passes SIGUSR1 on to every rank; with any other signal it would kill them.
      mpirun.send(SIGUSR1);
      console_.line(str(name_of(*signal), ": the job saves at its next step and ends with code ",
                        kPreemptedCode));
    } else if (*signal == stop_signal_ && (*signal == SIGINT || *signal == SIGTERM)) {
      force_signal_ = *signal;
      mpirun.send(SIGTERM);
      console_.line(str(name_of(*signal), " again: the job ends now, without saving"));
    }
  }
}

JobEnd Supervisor::end_of_job(const ProcessEnd& mpirun, const JobMessages& messages) const {
  JobEnd end = job_end(mpirun, messages, hooks_.progress());
  if (force_signal_ != 0) {
    return {.code = kFirstSignalCode + force_signal_, .checkpoint_step = end.checkpoint_step};
  }
  // Asked so early that there was nobody yet to save, and nothing that a save would have kept.
  const bool too_early = mpirun == ProcessEnd{.by_signal = true, .number = SIGUSR1} ||
                         end.code == kFirstSignalCode + SIGUSR1;
  if (stop_signal_ != 0 && too_early) {
    console_.line(str("the job ended before its first step; the same command goes on ",
                      checkpoint_text(end)));
    return {.code = kPreemptedCode, .checkpoint_step = end.checkpoint_step};
  }
  return end;
}

void Supervisor::tell(const JobEnd& end, const Decision& decision, int total_restarts) const {
  switch (decision.kind) {
    case Decision::Kind::kEnd:
      return;
    case Decision::Kind::kSpent:
      if (max_restarts_ == 0) return;
      console_.line(str("not started again: ", max_restarts_,
                        " restarts in a row brought no new checkpoint"));
      break;
    case Decision::Kind::kCrashLoop:
      console_.line(str("not started again: the same first cause at the same step ",
                        kCrashLoopLength, " times in a row: step ",
                        end.step < 0 ? "-" : str(end.step), ", code ", end.code, ", ", end.cause));
      break;
    case Decision::Kind::kRestart:
      console_.line(str("restart ", decision.restart, " of ", max_restarts_, " in ",
                        decision.wait.count(), " s, ", checkpoint_text(end)));
      break;
  }
  hooks_.journal(end, decision, total_restarts);
}

void Supervisor::sleep(std::chrono::seconds wait) {
  const auto deadline = Clock::now() + wait;
  while (stop_signal_ == 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return;
    pollfd ready{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, static_cast<int>(left));
    while (const std::optional<int> signal = signals_.next()) {
      if (*signal != SIGCHLD && stop_signal_ == 0) stop_signal_ = *signal;
    }
  }
}

}  // namespace cloze
