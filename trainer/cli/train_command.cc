// `cloze train`: alone, or as one rank of many under mpirun or srun.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/groups.h"
#include "parallel/comm/launched_task.h"
#include "parallel/comm/mpi_library.h"
#include "parallel/comm/mpi_session.h"
#include "parallel/pass/caching_allocator.h"
#include "trainer/cli/command.h"
#include "trainer/cli/report_error.h"
#include "trainer/cli/train_arguments.h"
#include "trainer/config/load.h"
#include "trainer/config/rules.h"
#include "trainer/launch/mpi_version.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/trainer.h"
#include "trainer/model/glm.h"

namespace cloze {
namespace {

// `run.threads`: a number, or OMP_NUM_THREADS, or this node's cores shared by its ranks.
int threads_of(const config::Job& job, int ranks_of_node) {
  if (job.threads() != "auto") return std::stoi(job.threads());
  if (const int wanted = threads_of_environment(); wanted > 0) return wanted;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const int available = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::max(1, available / ranks_of_node);
}

Resume resume_of(const std::string& text) {
  if (text == "strict") return Resume::kStrict;
  return text == "none" ? Resume::kNone : Resume::kAuto;
}

// Ends the job after an error that the ranks did not agree on: the others may wait for this one.
// The first rank that fails reports; what follows from it on other ranks is not told.
int end_job(MpiSession& session, const Error& error, const JobPlace& place) {
  if (session.claim_report()) {
    report_error(error, session.world_rank(), place.phase, place.step);
  } else {
    std::this_thread::sleep_for(std::chrono::seconds(2));  // It ends this rank with its own code.
  }
  if (session.world_size() > 1) session.abort(error.code());
  return static_cast<int>(error.code());
}

// Of ranks that do not see each other each is the first: the launcher's first one speaks.
bool is_alone_among_many(const MpiSession& session, const std::optional<LaunchedTask>& task) {
  try {
    check_not_alone(session.world_size(), task, text_of(mpi_version_of(mpi_library())));
    return false;
  } catch (const Error& error) {
    if (task->rank == 0) report_error(error, task->rank, "start");
    return true;
  }
}

int train(const TrainArguments& arguments) {
  StopSignals signals;  // Before MPI starts threads, which inherit the mask.
  const std::optional<LaunchedTask> task = launched_task();
  hide_unconnected_hosts();
  int argc = 0;
  char** argv = nullptr;
  MpiSession session(argc, argv);
  if (is_alone_among_many(session, task)) return static_cast<int>(ExitCode::kUsage);
  const at::NoGradGuard no_tape;
  const CachingAllocator allocator;  // Before the first tensor.
  std::vector<int> everyone;
  for (int rank = 0; rank < session.world_size(); ++rank) everyone.push_back(rank);
  const std::unique_ptr<Communicator> world = session.communicator("start", everyone);
  JobPlace place;
  try {
    LoadedConfig loaded;
    together(*world, [&] { loaded = load_for_training(arguments, session.world_size()); });
    if (world->rank() == 0) {
      for (const std::string& notice : loaded.notices) {
        std::fprintf(stderr, "notice: %s\n", notice.c_str());
      }
    }
    const config::Run& run = loaded.run;
    require_same(*world, run.SerializeAsString(), "config");
    session.set_deadline(std::chrono::seconds(run.run().deadline_seconds()));
    at::set_num_threads(threads_of(run.run(), session.local_size()));
    const Mesh mesh(degrees_of(run.parallel(), session.world_size()));
    const Groups groups = connect(mesh, session, kv_replicas(run.model(), mesh.degrees().tensor));
    Trainer trainer(
        run, groups, signals,
        {.resume = resume_of(arguments.resume), .allowed_changes = arguments.allowed_changes},
        place);
    return static_cast<int>(trainer.run());
  } catch (const AgreedError& error) {
    // Every rank is here; one of them speaks.
    if (world->rank() == 0) report_error(error, error.rank(), place.phase, place.step);
    return static_cast<int>(error.code());
  } catch (const Error& error) {
    return end_job(session, error, place);
  } catch (const std::exception& error) {
    return end_job(session, internal_error(error), place);
  }
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command =
      app.add_subcommand("train", "Pretrains a model, under mpirun, srun, or alone (one rank)");
  add_train_options(*command, *arguments);
  command->callback([arguments, &action] { action = [arguments] { return train(*arguments); }; });
}

}  // namespace cloze
