#include "trainer/loop/throughput.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>

#include "parallel/base/clock.h"
#include "trainer/loop/agreement.h"
#include "trainer/model/stage_cut.h"

namespace cloze {

double step_flops(const config::Model& model, const StepReport& report) {
  const auto hidden = static_cast<double>(model.hidden_size());
  const auto attention = static_cast<double>(model.num_attention_heads() * model.head_dim());
  const auto layers = static_cast<double>(model.num_hidden_layers());
  return 6 * layers * block_elements(model) * static_cast<double>(report.positions) +
         6 * hidden * static_cast<double>(model.vocab_size()) *
             static_cast<double>(report.targets) +
         12 * layers * attention * static_cast<double>(report.pairs);
}

double matrix_rate(std::int64_t size, const at::TensorOptions& options) {
  // Numbers that differ: a GPU multiplies equal ones faster, for they take less power.
  const at::Tensor a = at::arange(size * size, at::kFloat).sin_().view({size, size}).to(options);
  at::Tensor product = at::empty({size, size}, options);
  double best = 1e9;
  for (int round = 0; round < 4; ++round) {
    const auto start = Clock::now();
    at::mm_out(product, a, a);
    if (!product.is_cpu()) product.view({-1})[0].item();  // Waits for the device.
    best = std::min(best, seconds_since(start));
  }
  return 2 * std::pow(static_cast<double>(size), 3) / best;
}

double measured_peak(Communicator& world, std::int64_t size) {
  world.barrier();
  return sum_of(world, matrix_rate(size));
}

double measured_peak(Communicator& world, const TrainingState& state) {
  if (state.device().is_cpu()) return measured_peak(world);
  constexpr std::int64_t kSize = 8192;
  world.barrier();
  return sum_of(world,
                matrix_rate(kSize, at::TensorOptions(state.device()).dtype(state.compute_type())));
}

std::int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace cloze
