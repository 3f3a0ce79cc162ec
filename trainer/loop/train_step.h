// One step: microbatches through the pipeline, gradients summed, clipped, applied.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/batch_builder.h"
#include "parallel/schedule/schedule.h"
#include "trainer/loop/loss_sums.h"
#include "trainer/loop/training_state.h"

namespace cloze {

struct StepReport {
  LossSums losses;             // Of the global batch.
  std::int64_t targets = 0;    // Of the global batch.
  std::int64_t positions = 0;  // Tokens of samples in the global batch: padding is none.
  std::int64_t pairs = 0;      // Of a query and a key it sees, in the global batch.
  double gradient_norm = 0;    // Before clipping, loss scale taken out.
  double learning_rate = 0;
  double loss_scale = 1;
  bool skipped = false;  // Non-finite gradients or no targets: nothing was changed.

  double loss() const { return losses.mean(); }  // Nats a target.
};

// Which rows of a step a rank's replica gets.
MicrobatchOptions microbatch_options(const config::Run& run, const Groups& groups);

// The order in which the stages run a step's microbatches.
Schedule training_schedule(const config::Parallel& parallel, std::int64_t num_microbatches);

// `batches` are this replica's microbatches; all ranks of a replica have the same. Every rank
// returns the same report.
StepReport train_step(TrainingState& state, std::vector<Batch> batches, double learning_rate);

// Loss of forward passes alone; dropout off, nothing changed.
LossSums evaluate(TrainingState& state, std::vector<Batch> batches);

}  // namespace cloze
