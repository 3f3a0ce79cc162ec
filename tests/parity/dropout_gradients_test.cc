// Gradients of the block of 2021 with dropout equal finite differences of its loss. Which elements
// are dropped depends on keys alone, so the loss is a smooth function of the weights.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/parity/layout_run.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

// What the difference below leaves out is h^4 / 30 of the fifth derivative, some 1e-13 times one
// of order up to 1e3; a loss near 4 is rounded to some 1e-15, which the step makes 1e-12. The
// largest gradients of the tensors are 1e-4 to 0.1.
constexpr double kStep = 1e-3;
constexpr double kTolerance = 1e-6;

config::Run run_with_dropout() {
  config::Run run = small_run(config::Model::glm2021, config::Precision::fp64);
  config::Model& model = *run.mutable_model();
  model.set_num_hidden_layers(2);
  model.set_embedding_dropout(0.1);
  model.set_attention_dropout(0.1);
  model.set_output_dropout(0.1);
  run.mutable_batch()->set_global_size(3);
  return run;
}

// The flat index of the largest element, and two that are anywhere.
std::vector<std::int64_t> elements_to_try(const at::Tensor& gradient) {
  const std::int64_t count = gradient.numel();
  return {gradient.abs().argmax().item<std::int64_t>(), count / 3, count - 1};
}

TEST(DropoutGradientsTest, EqualFiniteDifferences) {
  const config::Run run = run_with_dropout();
  const std::vector<Batch> batches = sampled_batches(run)(run, {}, {}, 0);
  on_layout(run, {}, [&](TrainingState& state) {
    // A rate of zero leaves the weights as they are.
    const auto loss = [&] { return train_step(state, batches, 0).loss(); };
    const double expected = loss();
    EXPECT_GT(std::abs(expected - evaluate(state, batches).mean()), 1e-3) << "nothing is dropped";
    GlobalTensors gradients;
    double largest = 0;
    for (const Parameter* parameter : state.table().owned()) {
      gradients[parameter->spec.name] = parameter->main_grad.clone();
      largest = std::max(largest, parameter->main_grad.abs().max().item<double>());
    }
    for (const Parameter* parameter : state.table().owned()) {
      const at::Tensor gradient = gradients.at(parameter->spec.name).flatten();
      // A key's bias has none but for rounding: softmax does not see it.
      const double scale = std::max(gradient.abs().max().item<double>(), 1e-3 * largest);
      ASSERT_TRUE(parameter->value.is_contiguous());
      double* values = parameter->value.data_ptr<double>();
      for (const std::int64_t element : elements_to_try(gradient)) {
        const double value = values[element];
        const auto loss_at = [&](double shift) {
          values[element] = value + shift;
          const double moved = loss();
          values[element] = value;
          return moved;
        };
        const double difference =
            (8 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2 * kStep) - loss_at(-2 * kStep))) /
            (12 * kStep);
        EXPECT_NEAR(gradient[element].item<double>(), difference, kTolerance * scale)
            << parameter->spec.name << " element " << element;
      }
    }
    EXPECT_EQ(loss(), expected) << "the weights are what they were";
  });
}

}  // namespace
}  // namespace cloze
