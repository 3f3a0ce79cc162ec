// AdamW in one pass over its streams.
#include "parallel/kernels/cuda/adamw.h"

#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;

// The factors of a step, rounded to Acc once.
template <class T, class Acc>
struct AdamW {
  Acc* master;
  T* value;
  const Acc* gradient;
  Acc* exp_avg;
  Acc* exp_avg_sq;
  std::int64_t n;
  Acc gradient_scale;
  Acc beta1;
  Acc one_minus_beta1;
  Acc beta2;
  Acc one_minus_beta2;
  Acc bias_correction1;
  Acc bias_correction2;
  Acc eps;
  Acc lr;
  Acc shrink;  // 1 - lr * weight_decay
};

template <class T, class Acc, int N>
__global__ void __launch_bounds__(kBlock) adamw_kernel(const AdamW<T, Acc> call) {
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock * N;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) * N; i < call.n;
       i += step) {
    const Values<Acc, N> gradient = load<N>(call.gradient + i);
    Values<Acc, N> mean = load<N>(call.exp_avg + i);
    Values<Acc, N> square = load<N>(call.exp_avg_sq + i);
    Values<Acc, N> parameter = load<N>(call.master + i);
    CLOZE_UNROLL
    for (int j = 0; j < N; ++j) {
      const Acc g = gradient.at[j] * call.gradient_scale;
      mean.at[j] = call.beta1 * mean.at[j] + call.one_minus_beta1 * g;
      square.at[j] = call.beta2 * square.at[j] + call.one_minus_beta2 * g * g;
      const Acc denominator = square_root(square.at[j] / call.bias_correction2) + call.eps;
      const Acc update = call.lr * (mean.at[j] / call.bias_correction1) / denominator;
      parameter.at[j] = parameter.at[j] * call.shrink - update;
    }
    store<N>(call.exp_avg + i, mean);
    store<N>(call.exp_avg_sq + i, square);
    store<N>(call.master + i, parameter);
    if (call.value != nullptr) store<N>(call.value + i, parameter);
  }
}

}  // namespace

template <class T, class Acc>
void adamw(Acc* master, T* value, const Acc* gradient, Acc* exp_avg, Acc* exp_avg_sq,
           std::int64_t n, const AdamWStep& step, Stream stream) {
  if (n == 0) return;
  const AdamW<T, Acc> call{.master = master,
                           .value = value,
                           .gradient = gradient,
                           .exp_avg = exp_avg,
                           .exp_avg_sq = exp_avg_sq,
                           .n = n,
                           .gradient_scale = static_cast<Acc>(step.gradient_scale),
                           .beta1 = static_cast<Acc>(step.beta1),
                           .one_minus_beta1 = static_cast<Acc>(1.0 - step.beta1),
                           .beta2 = static_cast<Acc>(step.beta2),
                           .one_minus_beta2 = static_cast<Acc>(1.0 - step.beta2),
                           .bias_correction1 = static_cast<Acc>(step.bias_correction1),
                           .bias_correction2 = static_cast<Acc>(step.bias_correction2),
                           .eps = static_cast<Acc>(step.eps),
                           .lr = static_cast<Acc>(step.lr),
                           .shrink = static_cast<Acc>(1.0 - step.lr * step.weight_decay)};
  const bool vectors = vectors_fit<Acc>(n, {master, value, gradient, exp_avg, exp_avg_sq});
  with_width<Acc>(vectors, [&](auto width) {
    constexpr std::int64_t kOfBlock = std::int64_t{kBlock} * width.value;
    CLOZE_LAUNCH((&adamw_kernel<T, Acc, width.value>), grid_of((n + kOfBlock - 1) / kOfBlock),
                 kBlock, 0, stream, call);
  });
}

#define CLOZE_INSTANTIATE(T, Acc) \
  template void adamw(Acc*, T*, const Acc*, Acc*, Acc*, std::int64_t, const AdamWStep&, Stream)
CLOZE_INSTANTIATE(double, double);
CLOZE_INSTANTIATE(float, float);
CLOZE_INSTANTIATE(BFloat16, float);
CLOZE_INSTANTIATE(Float16, float);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
