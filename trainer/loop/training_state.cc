#include "trainer/loop/training_state.h"

#include <ATen/ATen.h>

#include "trainer/model/stage_cut.h"

namespace cloze {
namespace {

StagePart part_of_stage(const config::Run& run, const Groups& groups) {
  const std::vector<Range> cut = cut_stages(run);
  const auto stage = static_cast<std::size_t>(groups.at.pipeline);
  return {.layers = cut.at(stage), .first = stage == 0, .last = stage + 1 == cut.size()};
}

// Positions of a row never exceed its length; rows 0 and 1 together stay below twice that.
std::int64_t max_position(const config::Run& run) { return 2 * run.data().seq_length() + 2; }

}  // namespace

at::ScalarType compute_type_of(const config::Precision& precision) {
  switch (precision.compute()) {
    case config::Precision::bf16:
      return at::kBFloat16;
    case config::Precision::fp16:
      return at::kHalf;
    case config::Precision::fp64:
      return at::kDouble;
    default:
      return at::kFloat;
  }
}

ParameterTable& TrainingState::allocated(ParameterTable& table, const config::Run& run,
                                         at::Device device) {
  table.allocate(compute_type_of(run.precision()), device);
  table.initialise(run.run().seed());
  return table;
}

TrainingState::TrainingState(const config::Run& run, const Groups& groups, Trace* trace,
                             const Kernels& kernels)
    : run_(run),
      groups_(groups),
      trace_(trace),
      tp_{*groups.tensor, run.parallel().sequence() && groups.tensor->size() > 1, kernels},
      glm_(table_, run.model(), recompute_of(run.parallel()), max_position(run),
           part_of_stage(run, groups), tp_),
      reducer_(allocated(table_, run, groups.tensor->device()),
               {.bucket_bytes = run.parallel().bucket_bytes(),
                .zero_stage = run.parallel().zero_stage(),
                .kernels = kernels},
               *groups.data, *groups.tensor, *groups.kv_replicas),
      optimizer_(run.optimizer(), reducer_.shards(), kernels),
      scaler_(run.precision()) {
  if (!device().is_cpu()) writer_.emplace(device());
}

void TrainingState::sum_tied_uses() {
  ParameterGroup* embedding = glm_.tied_embedding();
  ParameterGroup* head = glm_.tied_head();
  if (embedding == nullptr && head == nullptr) return;
  Communicator& link = *groups_.embedding;
  if (embedding != nullptr && head != nullptr) {
    embedding->main_grad.add_(head->main_grad);
  } else if (embedding != nullptr) {
    const at::Tensor other = at::empty_like(embedding->main_grad);
    link.exchange({}, std::vector<Transfer>{{other, link.size() - 1}}).wait();
    embedding->main_grad.add_(other);
  } else {
    link.exchange(std::vector<Transfer>{{head->main_grad, 0}}, {}).wait();
  }
  if (embedding != nullptr) reducer_.on_ready(*embedding);
}

void TrainingState::publish_values() {
  reducer_.publish_values();
  ParameterGroup* embedding = glm_.tied_embedding();
  ParameterGroup* head = glm_.tied_head();
  if ((embedding == nullptr) == (head == nullptr)) return;  // Not tied, or one memory.
  Communicator& link = *groups_.embedding;
  if (embedding != nullptr) {
    link.exchange(std::vector<Transfer>{{embedding->value, link.size() - 1}}, {}).wait();
  } else {
    link.exchange({}, std::vector<Transfer>{{head->value, 0}}).wait();
  }
}

}  // namespace cloze
