// AdamW in one pass over four streams.
#include "parallel/kernels/adamw.h"

#include "parallel/kernels/pack.h"

namespace cloze {

template <class T, class Acc>
struct AdamWUpdate {
  Acc* master;
  T* value;
  const Acc* gradient;
  Acc* exp_avg;
  Acc* exp_avg_sq;
  std::int64_t n;
  AdamWFactors<Acc> by;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

constexpr std::int64_t kAdamWBlock = 4096;  // Elements of one item.

template <class T, class Acc>
template <class Set>
void AdamWUpdate<T, Acc>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<Acc, Set>;
  const std::int64_t begin = first * kAdamWBlock;
  const std::int64_t end = last * kAdamWBlock < n ? last * kAdamWBlock : n;
  for_each_pack<P>(end - begin, [&](std::int64_t offset, auto at) {
    const std::int64_t i = begin + offset;
    const P g = load<P>(gradient + i, at) * P(by.gradient_scale);
    const P mean = P(by.beta1) * load<P>(exp_avg + i, at) + P(by.one_minus_beta1) * g;
    const P square = P(by.beta2) * load<P>(exp_avg_sq + i, at) + P(by.one_minus_beta2) * g * g;
    const P denominator = sqrt(square) * P(by.root_scale) + P(by.eps);
    const P update = P(by.rate) * mean / denominator;
    const P parameter = load<P>(master + i, at) * P(by.shrink) - update;
    store(exp_avg + i, mean, at);
    store(exp_avg_sq + i, square, at);
    store(master + i, parameter, at);
    if (value != nullptr) store(value + i, parameter, at);
  });
}

CLOZE_KERNEL(AdamWUpdate<double, double>);
CLOZE_KERNEL(AdamWUpdate<float, float>);
CLOZE_KERNEL(AdamWUpdate<BFloat16, float>);
CLOZE_KERNEL(AdamWUpdate<Float16, float>);

#ifndef CLOZE_KERNEL_AVX512

template <class T, class Acc>
void adamw(Acc* master, T* value, const Acc* gradient, Acc* exp_avg, Acc* exp_avg_sq,
           std::int64_t n, const AdamWStep& step) {
  const AdamWUpdate<T, Acc> work{.master = master,
                                 .value = value,
                                 .gradient = gradient,
                                 .exp_avg = exp_avg,
                                 .exp_avg_sq = exp_avg_sq,
                                 .n = n,
                                 .by = AdamWFactors<Acc>(step)};
  run_parallel(work, (n + kAdamWBlock - 1) / kAdamWBlock, 1);
}

#define CLOZE_INSTANTIATE(T, Acc) \
  template void adamw(Acc*, T*, const Acc*, Acc*, Acc*, std::int64_t, const AdamWStep&)
CLOZE_INSTANTIATE(double, double);
CLOZE_INSTANTIATE(float, float);
CLOZE_INSTANTIATE(BFloat16, float);
CLOZE_INSTANTIATE(Float16, float);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
