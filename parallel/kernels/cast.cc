// Conversions. Between types that compute in float they go through packs; those that involve
// double are plain loops.
#include "parallel/kernels/cast.h"

#include "parallel/kernels/pack.h"
#include "parallel/kernels/round_to_odd.h"

namespace cloze {

template <class From, class To>
struct Convert {
  const From* from;
  To* to;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class From, class To>
template <class Set>
void Convert<From, To>::run(std::int64_t first, std::int64_t last) const {
  if constexpr (std::is_same_v<From, double> && sizeof(To) == 2) {
    for (std::int64_t i = first; i < last; ++i) to[i] = static_cast<To>(to_odd(from[i]));
  } else if constexpr (std::is_same_v<From, double> || std::is_same_v<To, double>) {
    for (std::int64_t i = first; i < last; ++i) {
      to[i] = static_cast<To>(static_cast<Accumulator<From>>(from[i]));
    }
  } else {
    for_each_pack<Pack<float, Set>>(last - first, [&](std::int64_t i, auto at) {
      store(to + first + i, load<Pack<float, Set>>(from + first + i, at), at);
    });
  }
}

#define CLOZE_CONVERT(From)              \
  CLOZE_KERNEL(Convert<From, double>);   \
  CLOZE_KERNEL(Convert<From, float>);    \
  CLOZE_KERNEL(Convert<From, BFloat16>); \
  CLOZE_KERNEL(Convert<From, Float16>)
CLOZE_CONVERT(double);
CLOZE_CONVERT(float);
CLOZE_CONVERT(BFloat16);
CLOZE_CONVERT(Float16);
#undef CLOZE_CONVERT

#ifndef CLOZE_KERNEL_AVX512

template <class From, class To>
void convert(const From* from, To* to, std::int64_t n) {
  run_parallel(Convert<From, To>{from, to}, n, 4096);
}

#define CLOZE_INSTANTIATE(From)                                \
  template void convert(const From*, double*, std::int64_t);   \
  template void convert(const From*, float*, std::int64_t);    \
  template void convert(const From*, BFloat16*, std::int64_t); \
  template void convert(const From*, Float16*, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
