#include "trainer/loop/train_step.h"

#include <cmath>

#include "parallel/trace/trace.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/glm_stage.h"
#include "trainer/optim/gradient_norm.h"

namespace cloze {
namespace {

// Forward passes alone.
Schedule forward_schedule(int num_stages, std::size_t microbatches) {
  Schedule schedule{num_stages, static_cast<int>(microbatches), {}};
  for (int stage = 0; stage < num_stages; ++stage) {
    std::vector<PipelineAction>& actions = schedule.ranks.emplace_back();
    for (int m = 0; m < schedule.num_microbatches; ++m) {
      actions.push_back({ActionKind::kForward, stage, m});
    }
  }
  return schedule;
}

// What the attention of a batch sees. A token of a sample sees itself, padding sees nothing.
void count_pairs(const Batch& batch, StepReport& report) {
  for (std::size_t token = 0; token < batch.lo.size(); ++token) {
    const std::int32_t seen = batch.hi[token] - batch.lo[token];
    report.positions += seen > 0 ? 1 : 0;
    report.pairs += seen;
  }
}

void run(const Schedule& schedule, GlmStage& stage, const TrainingState& state) {
  const Groups& groups = state.groups();
  run_schedule(schedule, groups.at.pipeline, stage, *groups.pipeline_forward,
               *groups.pipeline_backward, state.trace());
}

// Known before backward, so that the loss is divided once.
void count_targets(const std::vector<Batch>& batches, const TrainingState& state,
                   StepReport& report) {
  const TraceSpan span(state.trace(), "count targets");
  for (const Batch& batch : batches) {
    report.targets += batch.num_targets();
    count_pairs(batch, report);
  }
  Communicator& replicas = *state.groups().data_on_host;
  report.targets = sum_of(replicas, report.targets);
  report.positions = sum_of(replicas, report.positions);
  report.pairs = sum_of(replicas, report.pairs);
}

void reduce_gradients(TrainingState& state) {
  const TraceSpan span(state.trace(), "reduce gradients");
  state.sum_tied_uses();
  state.reducer().finish();
}

LossSums sum_losses(const GlmStage& stage, const TrainingState& state) {
  const TraceSpan span(state.trace(), "sum losses");
  return sum_over_ranks(stage.losses(), state.groups());
}

double norm_of_gradients(TrainingState& state) {
  const TraceSpan span(state.trace(), "gradient norm");
  const Groups& groups = state.groups();
  return gradient_norm(state.table(), state.reducer().shards(), *groups.data_on_host, *groups.model,
                       *groups.tensor, state.run().model().num_hidden_layers(),
                       state.tensor_parallel().kernels);
}

void update_weights(TrainingState& state, double learning_rate, double gradient_scale) {
  {
    const TraceSpan span(state.trace(), "optimizer");
    state.optimizer().step(learning_rate, gradient_scale);
  }
  const TraceSpan span(state.trace(), "publish weights");
  state.publish_values();
}

}  // namespace

MicrobatchOptions microbatch_options(const config::Run& run, const Groups& groups) {
  return {.micro_size = run.batch().micro_size(),
          .data_rank = groups.at.data,
          .data_degree = groups.mesh.degrees().data,
          .token_multiple = groups.mesh.degrees().tensor * groups.mesh.degrees().context};
}

Schedule training_schedule(const config::Parallel& parallel, std::int64_t num_microbatches) {
  const int count = static_cast<int>(num_microbatches);
  return parallel.schedule() == config::Parallel::gpipe ? gpipe(parallel.pipeline(), count)
                                                        : one_f_one_b(parallel.pipeline(), count);
}

StepReport train_step(TrainingState& state, std::vector<Batch> batches, double learning_rate) {
  StepReport report;
  report.learning_rate = learning_rate;
  report.loss_scale = state.scaler().scale();
  count_targets(batches, state, report);
  if (report.targets == 0) {
    report.skipped = true;
    return report;
  }

  {
    const TraceSpan span(state.trace(), "zero gradients");
    state.reducer().begin();
  }
  const Schedule schedule =
      training_schedule(state.run().parallel(), static_cast<std::int64_t>(batches.size()));
  GlmStage stage(state, std::move(batches), GlmStage::Mode::kTrain,
                 report.loss_scale / static_cast<double>(report.targets));
  run(schedule, stage, state);
  reduce_gradients(state);

  report.losses = sum_losses(stage, state);
  const double scaled_norm = norm_of_gradients(state);
  report.gradient_norm = static_cast<float>(scaled_norm / report.loss_scale);
  report.skipped = !state.scaler().update(std::isfinite(scaled_norm));
  if (report.skipped) return report;
  const double clip = clip_factor(report.gradient_norm, state.run().optimizer().clip());
  update_weights(state, learning_rate, clip / report.loss_scale);
  return report;
}

LossSums evaluate(TrainingState& state, std::vector<Batch> batches) {
  const Schedule schedule = forward_schedule(state.run().parallel().pipeline(), batches.size());
  GlmStage stage(state, std::move(batches), GlmStage::Mode::kEvaluate, 0);
  run(schedule, stage, state);
  return sum_losses(stage, state);
}

}  // namespace cloze
