// Runs a job under mpirun to its end: passes its output and signals on, starts it again when that
// may help.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/launch/child_process.h"
#include "trainer/launch/job_end.h"
#include "trainer/launch/job_messages.h"
#include "trainer/launch/launch_console.h"
#include "trainer/launch/launch_signals.h"
#include "trainer/launch/restart_policy.h"

namespace cloze {

// What the supervisor asks of those who know the program and its run folder.
struct JobHooks {
  // mpirun and its arguments; `restarts` is 0 for the first job.
  std::function<std::vector<std::string>(int restarts)> command;
  // How far the run has come.
  std::function<RunProgress()> progress;
  // Writes the line of the first cause, which no rank wrote.
  std::function<void(const JobEnd&)> report;
  // Writes down what is done about a job that ended. Called when no rank runs.
  std::function<void(const JobEnd&, const Decision&, int total_restarts)> journal;
};

class Supervisor {
 public:
  // Make it on the main thread, before others.
  Supervisor(JobHooks hooks, int max_restarts);

  // Returns the exit code.
  int run();

 private:
  JobEnd run_job(int restarts);
  ProcessEnd watch(ChildProcess& mpirun, JobMessages& messages);
  void pass_signals_to(const ChildProcess& mpirun);
  JobEnd end_of_job(const ProcessEnd& mpirun, const JobMessages& messages) const;
  void tell(const JobEnd& end, const Decision& decision, int total_restarts) const;
  void sleep(std::chrono::seconds wait);  // Until a signal ends it.

  JobHooks hooks_;
  int max_restarts_;
  LaunchSignals signals_;
  LaunchConsole console_;
  int stop_signal_ = 0;   // The first that asked the job to save and end.
  int force_signal_ = 0;  // The one that came twice: end now.
};

}  // namespace cloze
