#include "trainer/loop/glm_stage.h"

#include <ATen/ATen.h>

#include <utility>

#include "parallel/base/check.h"

namespace cloze {

GlmStage::GlmStage(TrainingState& state, std::vector<Batch> batches, Mode mode, double loss_weight)
    : state_(state),
      mode_(mode),
      loss_weight_(loss_weight),
      batches_(std::move(batches)),
      microbatches_(batches_.size()),
      passes_(batches_.size()),
      losses_(batches_.size()) {}

const Microbatch& GlmStage::microbatch(std::size_t index) {
  std::optional<Microbatch>& made = microbatches_[index];
  if (!made) made.emplace(batches_[index], state_.writer());
  return *made;
}

Pass GlmStage::make_pass(int microbatch) {
  const bool trains = mode_ == Mode::kTrain;
  const bool last = static_cast<std::size_t>(microbatch) + 1 == batches_.size();
  const ParameterGroup* tied = state_.glm().tied_embedding();
  GradientReducer& reducer = state_.reducer();
  Pass pass;
  pass.stash = Stash(/*keeps=*/trains);
  pass.training = trains;
  pass.seed = state_.run().run().seed();
  if (trains) {
    pass.weight_gradients = WeightGradients(
        [&reducer, tied](ParameterGroup& group) {
          if (&group != tied) reducer.on_ready(group);  // A tied table waits for its other use.
        },
        last, state_.trace(), {.stage = state_.groups().at.pipeline, .microbatch = microbatch});
  }
  return pass;
}

std::vector<at::Tensor> GlmStage::make_border() {
  const std::int64_t tokens = state_.tensor_parallel().local_tokens(batches_.front().num_tokens());
  return {at::empty({tokens, state_.run().model().hidden_size()},
                    at::TensorOptions(state_.device()).dtype(state_.compute_type()))};
}

std::vector<at::Tensor> GlmStage::forward(int microbatch, std::vector<at::Tensor> input) {
  const auto m = static_cast<std::size_t>(microbatch);
  const Glm& glm = state_.glm();
  const Microbatch& tokens = this->microbatch(m);
  Pass pass = make_pass(microbatch);
  at::Tensor x = glm.forward(pass, tokens, input.empty() ? at::Tensor() : input.front());
  std::vector<at::Tensor> output;
  if (glm.part().last) {
    losses_[m] = glm.forward_loss(pass, tokens, x, loss_weight_);
  } else {
    output.push_back(std::move(x));
  }
  if (mode_ == Mode::kTrain) {
    passes_[m] = std::move(pass);
  } else {
    microbatches_[m].reset();
  }
  if (m + 1 < batches_.size()) this->microbatch(m + 1);
  return output;
}

std::vector<at::Tensor> GlmStage::backward(int microbatch,
                                           std::vector<at::Tensor> output_gradient) {
  const auto m = static_cast<std::size_t>(microbatch);
  CLOZE_CHECK(passes_[m].has_value(), str("microbatch ", microbatch, " has not gone forward"),
              "the schedule runs forward before backward");
  Pass& pass = *passes_[m];
  const Glm& glm = state_.glm();
  const at::Tensor dy = glm.part().last ? glm.backward_loss(pass) : output_gradient.front();
  at::Tensor dx = glm.backward(pass, this->microbatch(m), dy);
  CLOZE_CHECK(pass.stash.empty(), "backward left tensors in the stash", "pop what forward pushed");
  passes_[m].reset();
  microbatches_[m].reset();
  if (glm.part().first) return {};
  return {std::move(dx)};
}

LossSums GlmStage::losses() const {
  LossSums sums;
  for (std::size_t m = 0; m < losses_.size(); ++m) {
    if (losses_[m]) sums.add(loss_sums(batches_[m], losses_[m]->values()));
  }
  return sums;
}

}  // namespace cloze
