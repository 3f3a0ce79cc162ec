// AdamW in one pass over its streams.
#include "parallel/kernels/cuda/adamw.h"

#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;

template <class T, class Acc>
struct AdamW {
  Acc* master;
  T* value;
  const Acc* gradient;
  Acc* exp_avg;
  Acc* exp_avg_sq;
  std::int64_t n;
  AdamWFactors<Acc> by;
};

template <class T, class Acc, int N>
__global__ void __launch_bounds__(kBlock) adamw_kernel(const AdamW<T, Acc> call) {
  const AdamWFactors<Acc>& by = call.by;
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock * N;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) * N; i < call.n;
       i += step) {
    const Values<Acc, N> gradient = load<N>(call.gradient + i);
    Values<Acc, N> mean = load<N>(call.exp_avg + i);
    Values<Acc, N> square = load<N>(call.exp_avg_sq + i);
    Values<Acc, N> parameter = load<N>(call.master + i);
    CLOZE_UNROLL
    for (int j = 0; j < N; ++j) {
      const Acc g = gradient.at[j] * by.gradient_scale;
      mean.at[j] = by.beta1 * mean.at[j] + by.one_minus_beta1 * g;
      square.at[j] = by.beta2 * square.at[j] + by.one_minus_beta2 * g * g;
      const Acc denominator = square_root(square.at[j]) * by.root_scale + by.eps;
      const Acc update = by.rate * mean.at[j] / denominator;
      parameter.at[j] = parameter.at[j] * by.shrink - update;
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
                           .by = AdamWFactors<Acc>(step)};
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
