// Conversions.
#include "parallel/kernels/cuda/cast.h"

#include "parallel/kernels/cuda/element.h"
#include "parallel/kernels/round_to_odd.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;

template <class From, class To, int N>
__global__ void __launch_bounds__(kBlock) convert_kernel(const From* from, To* to, std::int64_t n) {
  using A = Accumulator<From>;
  // Through double only where one side is double.
  using Between = std::conditional_t<std::is_same_v<To, double>, double, A>;
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock * N;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) * N; i < n; i += step) {
    const Values<A, N> values = load<N>(from + i);
    if constexpr (std::is_same_v<From, double> && !std::is_same_v<To, double>) {
      Values<float, N> rounded;
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        rounded.at[j] = sizeof(To) == 2 ? to_odd(values.at[j]) : static_cast<float>(values.at[j]);
      }
      store<N>(to + i, rounded);
    } else {
      Values<Between, N> widened;
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) widened.at[j] = static_cast<Between>(values.at[j]);
      store<N>(to + i, widened);
    }
  }
}

}  // namespace

template <class From, class To>
void convert(const From* from, To* to, std::int64_t n, Stream stream) {
  if (n == 0) return;
  // As many elements as fill 16 bytes of the narrower type.
  using Narrow = std::conditional_t<(sizeof(From) < sizeof(To)), From, To>;
  with_width<Narrow>(vectors_fit<Narrow>(n, {from, to}), [&](auto width) {
    constexpr std::int64_t kOfBlock = std::int64_t{kBlock} * width.value;
    CLOZE_LAUNCH((&convert_kernel<From, To, width.value>), grid_of((n + kOfBlock - 1) / kOfBlock),
                 kBlock, 0, stream, from, to, n);
  });
}

#define CLOZE_INSTANTIATE(From)                                        \
  template void convert(const From*, double*, std::int64_t, Stream);   \
  template void convert(const From*, float*, std::int64_t, Stream);    \
  template void convert(const From*, BFloat16*, std::int64_t, Stream); \
  template void convert(const From*, Float16*, std::int64_t, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
