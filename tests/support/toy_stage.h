// A pipeline stage whose gradients a plain loop can check: one weight per stage, two tensors of
// different dtype across each border.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "parallel/pipeline/executor.h"

namespace cloze {

// Of microbatch m, stage s: y = x w_s and z = z + w_s x; the loss is sum(t_m y) + sum(z).
class ToyStage final : public Stage {
 public:
  ToyStage(int index, int num_stages)
      : weight_(weight_of(index)), is_first_(index == 0), is_last_(index + 1 == num_stages) {}

  // The weight's gradient, summed over microbatches in the order of their backwards.
  double gradient() const { return gradient_; }
  double loss() const { return loss_; }              // Of the last stage.
  bool is_empty() const { return inputs_.empty(); }  // No activation is left.

  std::vector<at::Tensor> make_border() override {
    return {at::empty({kTokens, 3}, at::kDouble), at::empty({kTokens}, at::kFloat)};
  }

  std::vector<at::Tensor> forward(int microbatch, std::vector<at::Tensor> input) override {
    if (is_first_) {
      input = {at::arange(kTokens * 3, at::kDouble).view({kTokens, 3}) * 0.1 + microbatch,
               at::zeros({kTokens}, at::kFloat)};
    }
    inputs_[microbatch] = input[0];
    const at::Tensor y = input[0] * weight_;
    const at::Tensor z = input[1] + y.sum(1).to(at::kFloat);
    if (!is_last_) return {y, z};
    loss_ += (y * target(microbatch)).sum().item<double>() + z.sum().item<double>();
    return {};
  }

  std::vector<at::Tensor> backward(int microbatch,
                                   std::vector<at::Tensor> output_gradient) override {
    if (is_last_) {
      output_gradient = {at::full({kTokens, 3}, target(microbatch), at::kDouble),
                         at::ones({kTokens}, at::kFloat)};
    }
    const at::Tensor x = inputs_.extract(microbatch).mapped();
    const at::Tensor dy = output_gradient[0] + output_gradient[1].to(at::kDouble).unsqueeze(1);
    gradient_ += (x * dy).sum().item<double>();
    if (is_first_) return {};
    return {dy * weight_, output_gradient[1]};
  }

 private:
  static constexpr std::int64_t kTokens = 700;  // Too much for a transport to take in passing.

  static double weight_of(int index) { return 1.0 + 0.125 * index; }
  static double target(int microbatch) { return 0.3 * (microbatch + 1); }

  const double weight_;
  const bool is_first_;
  const bool is_last_;
  std::map<int, at::Tensor> inputs_;  // By microbatch.
  double gradient_ = 0;
  double loss_ = 0;
};

// The same without a pipeline: one microbatch after the other through all stages.
struct Unpipelined {
  std::vector<double> gradients;  // By stage.
  double loss;
};
inline Unpipelined run_unpipelined(int num_stages, int num_microbatches) {
  std::vector<std::unique_ptr<ToyStage>> stages;
  for (int stage = 0; stage < num_stages; ++stage) {
    stages.push_back(std::make_unique<ToyStage>(stage, num_stages));
  }
  for (int m = 0; m < num_microbatches; ++m) {
    std::vector<at::Tensor> tensors;
    for (const auto& stage : stages) tensors = stage->forward(m, std::move(tensors));
    for (int stage = num_stages - 1; stage >= 0; --stage) {
      tensors = stages[stage]->backward(m, std::move(tensors));
    }
  }
  Unpipelined result{{}, stages.back()->loss()};
  for (const auto& stage : stages) result.gradients.push_back(stage->gradient());
  return result;
}

}  // namespace cloze
