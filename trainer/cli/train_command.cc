// `cloze train`: alone, or as one rank of many under mpirun or srun.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/groups.h"
#include "parallel/comm/mpi_session.h"
#include "parallel/pass/caching_allocator.h"
#include "trainer/cli/command.h"
#include "trainer/cli/report_error.h"
#include "trainer/config/load.h"
#include "trainer/config/rules.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/trainer.h"
#include "trainer/model/glm.h"

namespace cloze {
namespace {

struct TrainArguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string resume = "auto";
  std::string device = "cpu";
  std::vector<std::string> allowed_changes;
};

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

int train(const TrainArguments& arguments) {
  StopSignals signals;  // Before MPI starts threads, which inherit the mask.
  int argc = 0;
  char** argv = nullptr;
  MpiSession session(argc, argv);
  const at::NoGradGuard no_tape;
  const CachingAllocator allocator;  // Before the first tensor.
  std::vector<int> everyone;
  for (int rank = 0; rank < session.world_size(); ++rank) everyone.push_back(rank);
  const std::unique_ptr<Communicator> world = session.communicator("start", everyone);
  JobPlace place;
  try {
    LoadedConfig loaded;
    together(*world, [&] {
      CLOZE_REQUIRE(arguments.device == "cpu", ExitCode::kUsage,
                    str("--device ", arguments.device, " is not in this build"),
                    "leave --device out to train on the CPU");
      loaded = load_config(arguments.config, arguments.overrides);
      throw_problems(check_rules(loaded, session.world_size()));
      CLOZE_REQUIRE(loaded.run.run().has_directory() && loaded.run.run().has_steps(),
                    ExitCode::kUsage, "run.directory and run.steps are not both set",
                    "set them in the config or with --set");
    });
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
  command->add_option("CONFIG", arguments->config, "YAML file")->required();
  command->add_option("--set", arguments->overrides, "path=value, over the file; repeatable")
      ->allow_extra_args(false);
  command->add_option("--resume", arguments->resume, "auto (default), strict or none")
      ->check(CLI::IsMember({"auto", "strict", "none"}));
  command->add_option("--device", arguments->device, "cpu (default)")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command
      ->add_option("--allow-change", arguments->allowed_changes,
                   "A key that may differ from the checkpoint's config; repeatable")
      ->allow_extra_args(false);
  command->callback([arguments, &action] { action = [arguments] { return train(*arguments); }; });
}

}  // namespace cloze
