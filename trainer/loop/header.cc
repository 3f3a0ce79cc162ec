#include "trainer/loop/header.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <set>

#include "parallel/base/mpi_version.h"
#include "parallel/comm/mpi_library.h"
#include "trainer/doctor/host_checks.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/console.h"
#include "trainer/loop/step_memory.h"
#include "trainer/model/stage_cut.h"

namespace cloze {
namespace {

std::string stages_text(const config::Run& run) {
  std::string text;
  for (const Range& layers : cut_stages(run)) {
    text += str(text.empty() ? "" : ", ", layers.count());
  }
  return text;
}

// What the run's bits and speed depend on. Of several hosts the first, and what the others are
// where they differ.
std::string machine_text(Communicator& world, const std::string& device) {
  std::vector<std::string> hosts;  // By rank, as are their kinds.
  std::vector<std::string> kinds;
  for (const std::string& text : gather_texts(world, str(host_name(), "\n", host_kind()))) {
    const std::size_t end = text.find('\n');
    hosts.push_back(text.substr(0, end));
    kinds.push_back(text.substr(end + 1));
  }
  std::string text = str(hosts[0], ", ", kinds[0]);
  const std::size_t num_hosts = std::set(hosts.begin(), hosts.end()).size();
  if (num_hosts > 1) text += str(", first of ", num_hosts, " hosts");
  std::set<std::string> others(kinds.begin(), kinds.end());
  others.erase(kinds[0]);
  for (const std::string& kind : others) text += str(" (others, ", kind, ")");
  if (!device.empty()) text += ", " + device;
  return str(text, ", ", mpi_library_name(mpi_library_version()), ", LibTorch ", TORCH_VERSION);
}

}  // namespace

std::int64_t num_parameters(TrainingState& state) {
  std::int64_t mine = 0;
  for (const Parameter* parameter : state.table().owned()) {
    if (parameter->spec.first_replica) mine += parameter->spec.box.elements();
  }
  return sum_of(*state.groups().model, mine);
}

std::vector<std::string> header_lines(TrainingState& state, const Progress& progress,
                                      const MemoryPlan& plan, const ComputeDevice& device) {
  const config::Run& run = state.run();
  const Degrees degrees = state.groups().mesh.degrees();
  const std::int64_t parameters = num_parameters(state);
  std::vector<std::string> lines;
  lines.push_back(str("cloze | run ", run.run().name(), " in ", run.run().directory(), " | seed ",
                      run.run().seed()));
  lines.push_back(str("system | ", machine_text(*state.groups().world, device.name)));
  lines.push_back(str("model | ", config::Model::Family_Name(run.model().family()), ", ",
                      run.model().num_hidden_layers(), " layers, hidden ",
                      run.model().hidden_size(), ", vocabulary ", run.model().vocab_size(), ", ",
                      count_text(static_cast<double>(parameters)), " parameters, ",
                      config::Precision::Compute_Name(run.precision().compute())));
  lines.push_back(str("layout | ", degrees.world(), " ranks = pipeline ", degrees.pipeline,
                      " x data ", degrees.data, " x tensor ", degrees.tensor,
                      state.tensor_parallel().sequence ? " with sequence parallelism" : "",
                      ", ZeRO ", run.parallel().zero_stage(), ", layers by stage [",
                      stages_text(run), "], ", at::get_num_threads(), " threads a rank"));
  lines.push_back(str("batch | ", run.batch().global_size(), " rows of ", run.data().seq_length(),
                      " tokens, ", run.batch().micro_size(), " a microbatch"));
  lines.push_back(str("schedule | ", run.run().steps(), " steps, ",
                      config::Schedule::Kind_Name(run.schedule().kind()), " to lr ",
                      run.optimizer().lr(), ", warm-up ", run.schedule().warmup()));
  lines.push_back(str("memory | ", memory_text(*state.groups().world, plan, device.memory_bytes)));
  if (progress.step > 0) lines.push_back(str("resume | after step ", progress.step));
  return lines;
}

std::string memory_warning(Communicator& world, const MemoryPlan& plan,
                           const ComputeDevice& device) {
  const std::int64_t planned = largest_of(world, plan.peak);
  if (device.memory_bytes == 0 || planned <= device.memory_bytes) return "";
  const auto text = [](std::int64_t bytes) {
    return value_text({.value = static_cast<double>(bytes), .unit = "bytes"});
  };
  return str("the plan is of ", text(planned), ", and the device has ", text(device.memory_bytes),
             "; fix: more ranks in parallel.tensor or parallel.pipeline, a smaller "
             "batch.micro_size, or parallel.recompute: full");
}

}  // namespace cloze
