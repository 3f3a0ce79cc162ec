#include "parallel/comm/groups.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/launched_task.h"

namespace cloze {
namespace {

// Makes a communicator of a name and the world ranks of its group.
using Make =
    std::function<std::unique_ptr<Communicator>(const std::string&, const std::vector<int>&)>;

std::vector<int> ends_of(const std::vector<int>& stages, int rank) {
  if (stages.size() == 1) return stages;
  if (rank != stages.front() && rank != stages.back()) return {rank};
  return {stages.front(), stages.back()};
}

// Part `index / count` of `ranks`, `count` ranks long.
std::vector<int> block_of(const std::vector<int>& ranks, int index, int count) {
  const auto first = ranks.begin() + index / count * count;
  return {first, first + count};
}

Groups build(const Mesh& mesh, int rank, int kv_replicas, const Make& make) {
  const int tensor = mesh.degrees().tensor;
  CLOZE_CHECK(kv_replicas >= 1 && tensor % kv_replicas == 0,
              str("tensor degree ", tensor, " cannot be cut into groups of ", kv_replicas,
                  " ranks that share a kv head"),
              "kv_replicas divides the tensor degree");
  const Coordinates at = mesh.coordinates(rank);
  const std::vector<int> stages = mesh.group(Axis::kPipeline, rank);
  const auto all = mesh.group(
      std::vector<Axis>{Axis::kPipeline, Axis::kData, Axis::kContext, Axis::kTensor}, rank);
  // Braces run from left to right: the order in which every rank makes its groups.
  return {
      .mesh = mesh,
      .world_rank = rank,
      .at = at,
      .world = make("world", all),
      .tensor = make("tensor", mesh.group(Axis::kTensor, rank)),
      .data = make("data", mesh.group(Axis::kData, rank)),
      .context = make("context", mesh.group(Axis::kContext, rank)),
      .pipeline_forward = make("pipeline_forward", stages),
      .pipeline_backward = make("pipeline_backward", stages),
      .model = make("model", mesh.group(std::vector<Axis>{Axis::kPipeline, Axis::kTensor}, rank)),
      .embedding = make("embedding", ends_of(stages, rank)),
      .kv_replicas =
          make("kv_replicas", block_of(mesh.group(Axis::kTensor, rank), at.tensor, kv_replicas))};
}

std::string describe(const Degrees& degrees) {
  return str("pipeline ", degrees.pipeline, " x data ", degrees.data, " x context ",
             degrees.context, " x tensor ", degrees.tensor, " = ", degrees.world(), " ranks");
}

const char* environment(const char* name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
}

// How many tasks the launcher says it started, when it says so.
int launched_tasks() {
  const std::optional<LaunchedTask> task = launched_task();
  return task ? task->num_tasks : 1;
}

}  // namespace

int threads_of_environment() {
  const char* value = environment("OMP_NUM_THREADS");
  return value == nullptr ? 0 : std::max(0, std::atoi(value));
}

std::optional<LaunchedTask> launched_task() { return launched_task_of(environment); }

bool is_in_allocation() { return is_allocation(environment); }

void hide_unconnected_hosts() {
  // What srun --mpi=pmix and --mpi=pmi2 set.
  if (environment("PMIX_NAMESPACE") != nullptr || environment("PMI_FD") != nullptr) return;
  unsetenv("SLURM_NODELIST");  // NOLINT(concurrency-mt-unsafe)
}

void check_launch(const Mesh& mesh, int world_size, int num_launched) {
  CLOZE_REQUIRE(
      world_size > 1 || num_launched <= 1, ExitCode::kUsage,
      str("the launcher started ", num_launched, " processes, but MPI sees each of them alone"),
      "use the mpirun of the MPI library that this program is linked with (ldd shows "
      "it); under Slurm use srun --mpi=pmix, or mpirun inside the allocation");
  CLOZE_REQUIRE(mesh.world() == world_size, ExitCode::kUsage,
                str("the layout needs ", describe(mesh.degrees()), ", the job has ", world_size),
                str("launch it with mpirun -n ", mesh.world(),
                    ", or change parallel.tensor, parallel.pipeline or parallel.data"));
}

Groups connect(const Mesh& mesh, MpiSession& session, int kv_replicas) {
  check_launch(mesh, session.world_size(), launched_tasks());
  return build(mesh, session.world_rank(), kv_replicas,
               [&](const std::string& name, const std::vector<int>& members) {
                 return session.communicator(name, members);
               });
}

Groups connect_local(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas) {
  check_launch(mesh, world.size(), /*num_launched=*/1);
  return build(mesh, rank, kv_replicas,
               [&](const std::string& name, const std::vector<int>& members) {
                 return world.communicator(name, members, rank);
               });
}

}  // namespace cloze
