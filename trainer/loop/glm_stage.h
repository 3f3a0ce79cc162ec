// A GLM as the pipeline sees it: microbatches go forward and backward by number.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "parallel/pipeline/executor.h"
#include "trainer/loop/loss_sums.h"
#include "trainer/loop/training_state.h"
#include "trainer/model/microbatch.h"

namespace cloze {

class GlmStage : public Stage {
 public:
  enum class Mode : std::uint8_t { kTrain, kEvaluate };

  // Training: the gradient of loss_weight * (sum of all losses) is added to the gradients.
  GlmStage(TrainingState& state, std::vector<Batch> batches, Mode mode, double loss_weight);

  std::vector<at::Tensor> make_border() override;
  std::vector<at::Tensor> forward(int microbatch, std::vector<at::Tensor> input) override;
  std::vector<at::Tensor> backward(int microbatch,
                                   std::vector<at::Tensor> output_gradient) override;

  // The losses of the microbatches, summed in their order; zeros but on the last stage. Waits for
  // the device that computes them.
  LossSums losses() const;

 private:
  Pass make_pass(int microbatch);
  // Made when it is asked for first, or brought along while the device computes the one before.
  const Microbatch& microbatch(std::size_t index);

  TrainingState& state_;
  const Mode mode_;
  const double loss_weight_;
  const std::vector<Batch> batches_;
  std::vector<std::optional<Microbatch>> microbatches_;  // Those that something still reads.
  std::vector<std::optional<Pass>> passes_;  // Of the microbatches between forward and backward.
  std::vector<std::optional<TargetLosses>> losses_;  // By microbatch, on the last stage.
};

}  // namespace cloze
