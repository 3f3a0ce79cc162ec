#include "parallel/comm/groups.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/launched_task.h"
#include "parallel/comm/process_memory.h"
#include "parallel/comm/staged_communicator.h"

namespace cloze {
namespace {

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

Groups build(const Mesh& mesh, int rank, int kv_replicas, const MakeGroup& on_host,
             const MakeGroup& make) {
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
  return {.mesh = mesh,
          .world_rank = rank,
          .at = at,
          .world = on_host("world", all),
          .data_on_host = on_host("data_on_host", mesh.group(Axis::kData, rank)),
          .model =
              on_host("model", mesh.group(std::vector<Axis>{Axis::kPipeline, Axis::kTensor}, rank)),
          .tensor = make("tensor", mesh.group(Axis::kTensor, rank)),
          .data = make("data", mesh.group(Axis::kData, rank)),
          .context = make("context", mesh.group(Axis::kContext, rank)),
          .pipeline_forward = make("pipeline_forward", stages),
          .pipeline_backward = make("pipeline_backward", stages),
          .embedding = make("embedding", ends_of(stages, rank)),
          .kv_replicas = make("kv_replicas",
                              block_of(mesh.group(Axis::kTensor, rank), at.tensor, kv_replicas))};
}

std::string describe(const Degrees& degrees) {
  return str("pipeline ", degrees.pipeline, " x data ", degrees.data, " x context ",
             degrees.context, " x tensor ", degrees.tensor, " = ", degrees.world(), " ranks");
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// In one order on all ranks.
std::vector<Communicator*> all_of(const Groups& groups) {
  return {groups.world.get(),
          groups.data_on_host.get(),
          groups.model.get(),
          groups.tensor.get(),
          groups.data.get(),
          groups.context.get(),
          groups.pipeline_forward.get(),
          groups.pipeline_backward.get(),
          groups.embedding.get(),
          groups.kv_replicas.get()};
}

// The members of a group, asked from themselves.
std::vector<int> members_of(Communicator& group, int world_rank) {
  const auto options = at::TensorOptions(group.device()).dtype(at::kLong);
  const at::Tensor all = at::empty({group.size()}, options);
  group.all_gather(all, at::full({1}, world_rank, options)).wait();
  const at::Tensor on_host = all.cpu();
  const auto* ranks = on_host.const_data_ptr<std::int64_t>();
  return {ranks, ranks + group.size()};
}

const char* environment(const char* name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

int launched_tasks() {
  const std::optional<LaunchedTask> task = launched_task();
  return task ? task->num_tasks : 0;
}

void record_calls(const Groups& groups, Trace& trace) {
  for (Communicator* group : all_of(groups)) {
    group->record_into(trace, members_of(*group, groups.world_rank));
  }
}

void stop_recording(const Groups& groups) {
  for (Communicator* group : all_of(groups)) group->stop_recording();
}

int threads_of_environment() {
  const char* value = environment("OMP_NUM_THREADS");
  return value == nullptr ? 0 : first_of_thread_list(value);
}

int first_of_thread_list(const std::string& text) {
  constexpr int kMostThreads = 4096;  // As for run.threads.
  int first = 0;
  std::string_view rest = text;
  for (bool more = true; more;) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = trimmed(rest.substr(0, comma));
    int number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    CLOZE_REQUIRE(error == std::errc() && end == item.data() + item.size() && number >= 1 &&
                      number <= kMostThreads,
                  ExitCode::kUsage,
                  str("OMP_NUM_THREADS is '", text.substr(0, 64), "', no number of threads"),
                  str("set it to a number from 1 to ", kMostThreads, ", or unset it"));
    if (first == 0) first = number;
    more = comma < rest.size();
    rest.remove_prefix(more ? comma + 1 : comma);
  }
  return first;
}

std::map<std::string, std::string> numerics_of_environment() {
  std::map<std::string, std::string> found;
  for (const char* name :
       {"MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "ATEN_CPU_CAPABILITY",
        "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE",
        "DNNL_DEFAULT_FPMATH_MODE", "GLIBC_TUNABLES", "CUBLAS_WORKSPACE_CONFIG"}) {
    const char* value = environment(name);
    if (value != nullptr) found[name] = value;
  }
  if (const auto mode = found.find("MKL_CBWR"); mode != found.end()) check_mkl_mode(mode->second);
  return found;
}

void check_mkl_mode(const std::string& mode) {
  constexpr std::array<std::string_view, 13> kBranches = {
      "AUTO", "COMPATIBLE", "SSE2",   "SSE3",      "SSSE3",      "SSE4_1",       "SSE4_2",
      "AVX",  "AVX2",       "AVX512", "AVX512_E1", "AVX512_MIC", "AVX512_MIC_E1"};
  constexpr std::string_view kStrict = ",STRICT";
  std::string_view branch = mode;
  if (branch.ends_with(kStrict)) branch.remove_suffix(kStrict.size());
  CLOZE_REQUIRE(std::ranges::find(kBranches, branch) != kBranches.end(), ExitCode::kUsage,
                str("MKL_CBWR is '", mode.substr(0, 64), "', no mode of MKL"),
                "unset it, or set it to AVX2,STRICT or AVX512,STRICT");
}

void check_gpu_environment() { check_nccl_address(environment("NCCL_COMM_ID")); }

void prepare_gpu_environment() {
  // Before these libraries have threads. NOLINTBEGIN(concurrency-mt-unsafe)
  setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", /*overwrite=*/0);
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  if (environment("PYTORCH_CUDA_ALLOC_CONF") == nullptr) {
    setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True", /*overwrite=*/0);
  }
  // NOLINTEND(concurrency-mt-unsafe)
}

bool nccl_may_share_gpus() {
  const char* value = environment("NCCL_MULTI_RANK_GPU_ENABLE");
  return value != nullptr && std::string_view(value) == "1";
}

void check_nccl_address(const char* address) {
  CLOZE_REQUIRE(address == nullptr, ExitCode::kUsage,
                str("NCCL_COMM_ID is set, to '", std::string_view(address).substr(0, 64),
                    "': whoever reaches that address could join the job"),
                "unset it, or take it out of nccl.conf; the ranks agree on an identity over MPI");
}

std::optional<LaunchedTask> launched_task() { return launched_task_of(environment); }

bool is_in_allocation() { return is_allocation(environment); }

void hide_unconnected_hosts() {
  // What srun --mpi=pmix and --mpi=pmi2 set.
  if (environment("PMIX_NAMESPACE") != nullptr || environment("PMI_FD") != nullptr) return;
  unsetenv("SLURM_NODELIST");  // NOLINT(concurrency-mt-unsafe)
}

bool choose_copies_between_ranks() {
  constexpr const char* kWay = "OMPI_MCA_btl_vader_single_copy_mechanism";
  if (environment(kWay) != nullptr) return false;
  if (launched_tasks() <= 1 || can_read_other_processes()) return true;
  // Before MPI and LibTorch have threads. NOLINTNEXTLINE(concurrency-mt-unsafe)
  setenv(kWay, "none", /*overwrite=*/0);
  return false;
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
  const MakeGroup make = session.make_group();
  return build(mesh, session.world_rank(), kv_replicas, make, make);
}

Groups connect_local(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas) {
  check_launch(mesh, world.size(), /*num_launched=*/1);
  const MakeGroup make = world.make_group(rank);
  return build(mesh, rank, kv_replicas, make, make);
}

Groups connect_nccl(const Mesh& mesh, NcclSession& session, int rank, int kv_replicas,
                    const MakeGroup& on_host) {
  return build(mesh, rank, kv_replicas, on_host,
               [&](const std::string& name, const std::vector<int>& members) {
                 // Gradients may take until the end of the step; everything else is waited for.
                 return session.communicator(
                     name, members, /*urgent=*/name != "data",
                     name.starts_with("pipeline") ? Peers::kNeighbors : Peers::kAll);
               });
}

Groups connect_staged(const Mesh& mesh, at::Device device, int rank, int kv_replicas,
                      const MakeGroup& on_host) {
  return build(mesh, rank, kv_replicas, on_host,
               [&](const std::string& name, const std::vector<int>& members) {
                 return std::make_unique<StagedCommunicator>(on_host(name, members), device);
               });
}

}  // namespace cloze
