#include "trainer/loop/loss_sums.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace cloze {

void LossSums::add(const LossSums& other) {
  for (std::size_t i = 0; i < sum.size(); ++i) {
    sum[i] += other.sum[i];
    targets[i] += other.targets[i];
  }
}

double LossSums::total() const {
  double result = 0;
  for (const double part : sum) result += part;
  return result;
}

double LossSums::total_targets() const {
  double result = 0;
  for (const double part : targets) result += part;
  return result;
}

double LossSums::mean(Objective objective) const {
  const auto i = static_cast<std::size_t>(objective);
  return sum[i] / targets[i];
}

LossSums loss_sums(const Batch& batch, const std::vector<double>& losses) {
  LossSums sums;
  std::size_t target = 0;
  for (std::size_t token = 0; token < batch.loss_mask.size(); ++token) {
    if (batch.loss_mask[token] == 0) continue;
    const std::size_t objective = batch.objective[token];
    sums.sum.at(objective) += losses.at(target++);
    sums.targets.at(objective) += 1;
  }
  return sums;
}

LossSums sum_over_ranks(const LossSums& mine, const Groups& groups) {
  constexpr std::int64_t kNumbers = 2 * kNumObjectives;
  const at::Tensor packed = at::empty({kNumbers}, at::kDouble);
  double* numbers = packed.data_ptr<double>();
  std::copy(mine.sum.begin(), mine.sum.end(), numbers);
  std::copy(mine.targets.begin(), mine.targets.end(), numbers + kNumObjectives);
  groups.data_on_host->all_reduce(packed, ReduceOp::kSum).wait();
  // The last stage alone saw the losses; its first tensor rank tells the others.
  const int last = (groups.mesh.degrees().pipeline - 1) * groups.mesh.degrees().tensor;
  groups.model->broadcast(packed, last).wait();
  LossSums all;
  std::copy(numbers, numbers + kNumObjectives, all.sum.begin());
  std::copy(numbers + kNumObjectives, numbers + kNumbers, all.targets.begin());
  return all;
}

}  // namespace cloze
