// `cloze launch`: `cloze train` on several ranks, under an mpirun that it starts, watches and
// restarts.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/base/file.h"
#include "parallel/base/mpi_version.h"
#include "parallel/comm/groups.h"
#include "parallel/comm/launched_task.h"
#include "parallel/comm/mpi_library.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/cli/command.h"
#include "trainer/cli/report_error.h"
#include "trainer/cli/train_arguments.h"
#include "trainer/launch/child_process.h"
#include "trainer/launch/hostfile.h"
#include "trainer/launch/mpirun_command.h"
#include "trainer/launch/supervisor.h"
#include "trainer/loop/event_journal.h"
#include "trainer/loop/metrics_file.h"

namespace cloze {
namespace {

struct LaunchArguments {
  int num_ranks = 0;
  std::string hostfile;
  bool oversubscribe = false;
  int max_restarts = 0;
  TrainArguments train;
};

int num_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

// Where the ranks run. Reads and checks the hostfile.
RankPlacement placement_of(const LaunchArguments& arguments) {
  RankPlacement placement{.num_ranks = arguments.num_ranks,
                          .hostfile = arguments.hostfile,
                          .passes_threads = threads_of_environment() > 0};
  if (!arguments.hostfile.empty()) {
    const std::vector<Host> hosts = read_hostfile(arguments.hostfile);
    if (!arguments.oversubscribe) check_slots(hosts, arguments.num_ranks, arguments.hostfile);
    placement.one_machine = hosts.size() == 1;
    placement.oversubscribe = arguments.oversubscribe;
    placement.yield = arguments.oversubscribe;
    return placement;
  }
  if (is_in_allocation()) {  // mpirun takes its hosts and slots.
    placement.one_machine = false;
    placement.oversubscribe = arguments.oversubscribe;
    placement.yield = arguments.oversubscribe;
    return placement;
  }
  if (const int cores = num_cores(); arguments.num_ranks > cores) {
    std::fprintf(stderr, "notice: %d ranks share the %d cores of this machine\n",
                 arguments.num_ranks, cores);
  }
  return placement;
}

void refuse_to_be_launched() {
  const std::optional<LaunchedTask> task = launched_task();
  const bool started = task && (task->num_tasks > 1 || task->launcher == Launcher::kOpenMpi);
  CLOZE_REQUIRE(!started, ExitCode::kUsage,
                str("a launcher started ", task->num_tasks, " times cloze launch"),
                "start cloze launch once, by itself; it starts the ranks. Under mpirun or srun "
                "start cloze train");
}

// This program, as other hosts find it too.
std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

MpiVersion checked_mpi() {
  const MpiVersion library = parse_mpi_library(mpi_library_version());
  check_same_mpi(library, parse_mpirun(output_of({"mpirun", "--version"})));
  return library;
}

// What the supervisor must know of the run: its command line and its folder.
class LaunchedRun {
 public:
  LaunchedRun(const LaunchArguments& arguments, const config::Run& run, MpiVersion mpi,
              RankPlacement placement)
      : arguments_(arguments),
        mpi_(std::move(mpi)),
        placement_(std::move(placement)),
        folder_(run.run().directory()),
        checkpoints_(run.checkpoint().directory()),
        time_limit_(run.run().time_limit()) {}

  std::vector<std::string> command(int restarts) const {
    TrainArguments train = arguments_.train;
    if (restarts > 0) {
      // What the first job was to find, or not to find, a restart finds changed.
      train.resume = "auto";
      // The limit counts from the first job's start.
      if (time_limit_.count() > 0) {
        const auto passed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_);
        const auto left = std::max(std::chrono::seconds(1), time_limit_ - passed);
        train.overrides.push_back(str("run.time_limit=", left.count()));
      }
    }
    std::vector<std::string> program = {own_path(), "train"};
    for (const std::string& word : words_of(train)) program.push_back(word);
    return mpirun_command(mpi_, placement_, program);
  }

  RunProgress progress() const {
    return {.logged_step = last_logged_step(folder_ / "metrics.jsonl"),
            .checkpoint_step = step_to_resume_from()};
  }

  void journal(const JobEnd& end, const Decision& decision, int total_restarts) const {
    nlohmann::ordered_json fields = {{"step", end.step},
                                     {"code", end.code},
                                     {"what", end.cause},
                                     {"checkpoint_step", end.checkpoint_step},
                                     {"max_restarts", arguments_.max_restarts},
                                     {"total_restarts", total_restarts}};
    std::string event = "restarts_spent";
    if (decision.kind == Decision::Kind::kCrashLoop) event = "crash_loop";
    if (decision.kind == Decision::Kind::kRestart) {
      event = "restart";
      fields["restart"] = decision.restart;
      fields["wait_seconds"] = decision.wait.count();
    }
    for (const char* key : {"step", "checkpoint_step"}) {
      if (fields[key] < 0) fields[key] = nullptr;
    }
    try {
      make_directories(folder_);
      EventJournal(folder_ / "events.jsonl").record(event, fields);
    } catch (const Error& error) {
      std::fprintf(stderr, "warning: a restart is not journaled: %s\n", error.problem().c_str());
    }
  }

 private:
  // The one that a restart chooses by the structure of the files; -1 when there is none. A rank
  // that finds damage in what it reads goes further back.
  std::int64_t step_to_resume_from() const {
    std::vector<std::string> warnings;  // The ranks will tell.
    try {
      const auto newest = newest_checkpoint(checkpoints_, ResumeMode::kAuto, warnings);
      return newest ? step_of_folder(newest->filename().string()).value_or(-1) : -1;
    } catch (const Error&) {
      return -1;  // None is good.
    }
  }

  const LaunchArguments& arguments_;
  MpiVersion mpi_;
  RankPlacement placement_;
  std::filesystem::path folder_;
  std::filesystem::path checkpoints_;
  std::chrono::seconds time_limit_;  // 0: none.
  Clock::time_point start_ = Clock::now();
};

int launch(const LaunchArguments& arguments) {
  refuse_to_be_launched();
  const LoadedConfig loaded = load_for_training(arguments.train, arguments.num_ranks);
  const RankPlacement placement = placement_of(arguments);
  const LaunchedRun run(arguments, loaded.run, checked_mpi(), placement);
  Supervisor supervisor(
      {.command = [&](int restarts) { return run.command(restarts); },
       .progress = [&] { return run.progress(); },
       .report =
           [](const JobEnd& end) {
             const Error error(static_cast<ExitCode>(end.code), end.cause, end.fix);
             report_error(error, end.rank, "launch", end.step);
           },
       .journal = [&](const JobEnd& end, const Decision& decision,
                      int total_restarts) { run.journal(end, decision, total_restarts); }},
      arguments.max_restarts);
  return supervisor.run();
}

}  // namespace

void add_launch_command(Command root) {
  auto arguments = std::make_shared<LaunchArguments>();
  const Command command =
      root.subcommand("launch", "Pretrains a model on several ranks: starts mpirun, watches it");
  command.option("-n", arguments->num_ranks, "Ranks").required().range(1, 1'000'000);
  command.option("--hostfile", arguments->hostfile, "Hosts that run ranks: NAME slots=N lines");
  command.flag("--oversubscribe", arguments->oversubscribe,
               "On several hosts: more ranks than slots are welcome");
  command
      .option("--max-restarts", arguments->max_restarts,
              "Restarts after faults that pass, in a row without a new checkpoint (default 0)")
      .range(0, 1'000'000);
  add_train_options(command, arguments->train);
  command.runs([arguments] { return launch(*arguments); });
}

}  // namespace cloze
