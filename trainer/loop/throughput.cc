#include "trainer/loop/throughput.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace cloze {

double step_flops(const config::Model& model, const StepReport& report) {
  const auto hidden = static_cast<double>(model.hidden_size());
  const auto attention = static_cast<double>(model.num_attention_heads() * model.head_dim());
  const auto kv = static_cast<double>(model.num_key_value_heads() * model.head_dim());
  const double feed_forward = model.family() == config::Model::glm2021 ? 2 : 3;
  const double layer = hidden * (2 * attention + 2 * kv) +
                       feed_forward * hidden * static_cast<double>(model.intermediate_size());
  const auto layers = static_cast<double>(model.num_hidden_layers());
  return 6 * layers * layer * static_cast<double>(report.positions) +
         6 * hidden * static_cast<double>(model.vocab_size()) *
             static_cast<double>(report.targets) +
         12 * layers * attention * static_cast<double>(report.pairs);
}

double matrix_rate(std::int64_t size) {
  const at::Tensor a = at::ones({size, size});
  at::Tensor product = at::empty({size, size});
  double best = 1e9;
  for (int round = 0; round < 4; ++round) {
    const auto start = std::chrono::steady_clock::now();
    at::mm_out(product, a, a);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return 2 * std::pow(static_cast<double>(size), 3) / best;
}

double measured_peak(Communicator& world, std::int64_t size) {
  world.barrier();
  at::Tensor rate = at::full({1}, matrix_rate(size), at::kDouble);
  world.all_reduce(rate, ReduceOp::kSum).wait();
  return rate.item<double>();
}

std::int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace cloze
