// Dropout with bias and residual. Bits come in runs of up to kRun channels.
#include "parallel/kernels/dropout.h"

#include "parallel/kernels/pack.h"
#include "parallel/kernels/random_run.h"

namespace cloze {

constexpr std::int64_t kRun = 512;  // A multiple of every pack.

template <class T>
struct Dropout {
  const T* residual;  // May be null, like bias and key.
  const T* x;
  const T* bias;
  const DropoutKey* key;
  std::uint32_t limit;
  T* y;
  std::int64_t hidden;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void Dropout<T>::run(std::int64_t first, std::int64_t last) const {
  using A = Accumulator<T>;
  using P = Pack<A, Set>;
  const A scale = key == nullptr ? A{1} : static_cast<A>(1.0 / (1.0 - key->p));
  std::uint32_t buffer[kRun + 64];
  alignas(64) A factors[kRun] = {};
  for (std::int64_t row = first; row < last; ++row) {
    for (std::int64_t start = 0; start < hidden; start += kRun) {
      const std::int64_t width = hidden - start < kRun ? hidden - start : kRun;
      if (key != nullptr) {
        const RandomKey stream{.seed = key->seed,
                               .domain = key->domain,
                               .layer = key->layer,
                               .ordinal = static_cast<std::uint64_t>(key->ordinals[row])};
        const std::int64_t element = key->index_in_row[row] * key->hidden_total + start;
        const std::uint32_t* bits =
            random_run<Set>(stream, static_cast<std::uint64_t>(element), width, buffer);
        for (std::int64_t i = 0; i < width; ++i) factors[i] = bits[i] > limit ? scale : A{0};
      }
      for_each_pack<P>(width, [&](std::int64_t i, auto at) {
        const std::int64_t j = row * hidden + start + i;
        P value = load<P>(x + j, at);
        if (bias != nullptr) value = round_to<T>(value + load<P>(bias + start + i, at));
        if (key != nullptr) {
          const P factor = load<P>(factors + i);
          value = round_to<T>(where_less(P(0), factor, value * factor, P(0)));
        }
        if (residual != nullptr) value = load<P>(residual + j, at) + value;
        store(y + j, value, at);
      });
    }
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(Dropout);

#ifndef CLOZE_KERNEL_AVX512

template <class T>
void dropout_add(const T* residual, const T* x, const T* bias, const DropoutKey* key, T* y,
                 std::int64_t n, std::int64_t hidden) {
  if (key != nullptr && key->p == 0.0) key = nullptr;
  const std::uint32_t limit = key == nullptr ? 0 : dropout_limit(key->p);
  run_parallel(Dropout<T>{residual, x, bias, key, limit, y, hidden}, n,
               grain_of(hidden * sizeof(T)));
}

template <class T>
void dropout_backward(const T* dy, const DropoutKey* key, T* dx, std::int64_t n,
                      std::int64_t hidden) {
  dropout_add<T>(nullptr, dy, nullptr, key, dx, n, hidden);
}

#define CLOZE_INSTANTIATE(T)                                                                   \
  template void dropout_add(const T*, const T*, const T*, const DropoutKey*, T*, std::int64_t, \
                            std::int64_t);                                                     \
  template void dropout_backward(const T*, const DropoutKey*, T*, std::int64_t, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
