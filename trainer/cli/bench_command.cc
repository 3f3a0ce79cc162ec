// `cloze bench`: how fast a config's steps, collectives, rows and checkpoints are, on this machine.
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/groups.h"
#include "trainer/bench/checkpoint_bench.h"
#include "trainer/bench/comm_bench.h"
#include "trainer/bench/data_bench.h"
#include "trainer/bench/step_bench.h"
#include "trainer/cli/agreed_config.h"
#include "trainer/cli/command.h"
#include "trainer/cli/job.h"
#include "trainer/cli/train_arguments.h"
#include "trainer/config/rules.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/compute_device.h"
#include "trainer/loop/header.h"
#include "trainer/loop/step_memory.h"
#include "trainer/model/glm.h"

namespace cloze {
namespace {

struct BenchArguments {
  TrainArguments train;
  bool json = false;
  StepBenchOptions step;
  CommBenchOptions comm;
  DataBenchOptions data;
  int saves = 3;
};

// What a bench is given on each rank.
struct BenchJob {
  const config::Run& run;
  const Groups& groups;
  const Kernels& kernels;
  const BenchArguments& arguments;
};

// Prints on rank 0: lines for people, or one line of JSON.
template <typename Figures>
void print(const BenchJob& job, const Figures& figures) {
  if (job.groups.world->rank() != 0) return;
  if (job.arguments.json) {
    std::printf("%s\n", json_of(figures).dump().c_str());
  } else {
    for (const std::string& line : lines_of(figures)) std::printf("%s\n", line.c_str());
  }
  require_standard_output();
}

void print_header(const BenchJob& job, TrainingState& state) {
  if (job.arguments.json) return;
  const std::vector<std::string> lines = header_lines(state, Progress(), plan_of(state));
  if (job.groups.world->rank() != 0) return;
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void run_step(const BenchJob& job) {
  TrainingState state(job.run, job.groups, /*trace=*/nullptr, job.kernels);
  print_header(job, state);
  print(job, bench_step(state, job.arguments.step));
}

void run_comm(const BenchJob& job) { print(job, bench_comm(job.groups, job.arguments.comm)); }

void run_data(const BenchJob& job) {
  together(*job.groups.world, [&] {
    CLOZE_REQUIRE(job.groups.world->size() == 1, ExitCode::kUsage,
                  "rows are made by each rank alone: there is nothing to measure together",
                  "run it without mpirun");
  });
  print(job, bench_data(job.run, job.arguments.data));
}

void run_checkpoint(const BenchJob& job) {
  TrainingState state(job.run, job.groups, /*trace=*/nullptr, job.kernels);
  print_header(job, state);
  print(job, bench_checkpoint(state, job.arguments.saves));
}

int bench(const BenchArguments& arguments, const std::function<void(const BenchJob&)>& body) {
  JobPlace place;
  return run_job(place, [&](MpiSession& session, Communicator& world) {
    const LoadedConfig loaded = agreed_config(
        world, [&] { return load_for_training(arguments.train, session.world_size()); });
    const config::Run& run = loaded.run;
    together(world,
             [&] { at::set_num_threads(threads_of(run.run().threads(), session.local_size())); });
    session.set_deadline(std::chrono::seconds(run.run().deadline_seconds()));
    const Mesh mesh(degrees_of(run.parallel(), session.world_size()));
    const Groups groups = connect(mesh, session, kv_replicas(run.model(), mesh.degrees().tensor));
    place.phase = "bench";
    body({.run = run,
          .groups = groups,
          .kernels = cpu_device(run, world).kernels,
          .arguments = arguments});
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_bench_command(Command root) {
  const auto arguments = std::make_shared<BenchArguments>();
  const Command command =
      root.subcommand("bench", "Measures steps, collectives, rows or checkpoints of a config");
  command.require_subcommand();
  const auto add = [&](const char* name, const char* meaning, void (*body)(const BenchJob&)) {
    const Command kind = command.subcommand(name, meaning);
    kind.option("CONFIG", arguments->train.config, "YAML file").required();
    kind.option("--set", arguments->train.overrides, "path=value, over the file; repeatable")
        .one_value_each();
    kind.flag("--json", arguments->json, "One line, one JSON object");
    kind.runs([arguments, body] { return bench(*arguments, body); });
    return kind;
  };
  constexpr std::int64_t kMost = 1'000'000;
  const Command step = add("step", "Training steps on made-up rows", run_step);
  step.option("--steps", arguments->step.steps, "That are timed (10)").range(1, kMost);
  step.option("--warm-up", arguments->step.warm_up, "Before them (2)").range(1, kMost);
  const Command comm = add("comm", "Collectives over the groups of the layout", run_comm);
  comm.option("--rounds", arguments->comm.rounds, "Of each call and size (10)").range(1, kMost);
  comm.option("--largest", arguments->comm.largest_bytes, "Bytes of the largest call (32 MiB)")
      .range(1 << 10, std::int64_t{1} << 34);
  const Command data = add("data", "Rows of the objective, made in one thread", run_data);
  data.option("--rows", arguments->data.rows, "Rows to make (2000)")
      .range(1, std::int64_t{1} << 40);
  data.option("--tokens", arguments->data.tokens, "Of the text they are made of (10^12)")
      .range(1 << 10, std::int64_t{1} << 50);
  const Command checkpoint =
      add("checkpoint", "Saves and loads, beside checkpoint.directory", run_checkpoint);
  checkpoint.option("--rounds", arguments->saves, "Saves and loads (3)").range(1, kMost);
}

}  // namespace cloze
