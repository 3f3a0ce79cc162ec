// Dropout with bias and residual. A block has a row at a time; where a thread's elements begin at
// a multiple of 4 of the stream, one Philox block serves four of them.
#include "parallel/kernels/cuda/dropout.h"

#include "parallel/kernels/cuda/element.h"
#include "parallel/kernels/cuda/random_bits.h"
#include "parallel/kernels/dropout_limit.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;

template <class T>
struct Dropout {
  using A = Accumulator<T>;
  const T* residual;  // May be null, like bias.
  const T* x;
  const T* bias;
  T* y;
  std::int64_t n;
  std::int64_t hidden;
  DropoutKey key;
  std::uint32_t limit;
  A scale;  // 0: nothing is dropped.
};

template <class T, int N>
__global__ void __launch_bounds__(kBlock) dropout_kernel(const Dropout<T> call) {
  using A = Accumulator<T>;
  const std::int64_t hidden = call.hidden;
  for (std::int64_t row = blockIdx.x; row < call.n; row += gridDim.x) {
    RandomKey stream{.seed = call.key.seed, .domain = call.key.domain, .layer = call.key.layer};
    std::int64_t element = 0;
    if (call.scale != 0) {
      stream.ordinal = static_cast<std::uint64_t>(call.key.ordinals[row]);
      element = call.key.index_in_row[row] * call.key.hidden_total;
    }
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < hidden;
         i += std::int64_t{blockDim.x} * N) {
      const std::int64_t at = row * hidden + i;
      Values<A, N> values = load<N>(call.x + at);
      if (call.bias != nullptr) {
        const Values<A, N> bias = load<N>(call.bias + i);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) values.at[j] = round_to<T>(values.at[j] + bias.at[j]);
      }
      if (call.scale != 0) {
        const RandomBits<N> bits =
            random_bits_of<N>(stream, static_cast<std::uint64_t>(element + i));
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) {
          const A kept = round_to<T>(values.at[j] * call.scale);
          values.at[j] = bits.at[j] > call.limit ? kept : A{0};
        }
      }
      if (call.residual != nullptr) {
        const Values<A, N> residual = load<N>(call.residual + at);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) values.at[j] = residual.at[j] + values.at[j];
      }
      store<N>(call.y + at, values);
    }
  }
}

}  // namespace

template <class T>
void dropout_add(const T* residual, const T* x, const T* bias, const DropoutKey* key, T* y,
                 std::int64_t n, std::int64_t hidden, Stream stream) {
  if (n == 0 || hidden == 0) return;
  Dropout<T> call{residual, x, bias, y, n, hidden, {}, 0, 0};
  bool vectors = vectors_fit<T>(hidden, {residual, x, bias, y});
  if (key != nullptr && key->p != 0.0) {
    call.key = *key;
    call.limit = dropout_limit(key->p);
    call.scale = static_cast<Accumulator<T>>(1.0 / (1.0 - key->p));
    vectors = vectors && key->hidden_total % 4 == 0;  // random_bits_of() of several elements.
  }
  with_width<T>(vectors, [&](auto width) {
    CLOZE_LAUNCH((&dropout_kernel<T, width.value>), grid_of(n),
                 threads_of(hidden / width.value, kBlock), 0, stream, call);
  });
}

template <class T>
void dropout_backward(const T* dy, const DropoutKey* key, T* dx, std::int64_t n,
                      std::int64_t hidden, Stream stream) {
  dropout_add<T>(nullptr, dy, nullptr, key, dx, n, hidden, stream);
}

#define CLOZE_INSTANTIATE(T)                                                                   \
  template void dropout_add(const T*, const T*, const T*, const DropoutKey*, T*, std::int64_t, \
                            std::int64_t, Stream);                                             \
  template void dropout_backward(const T*, const DropoutKey*, T*, std::int64_t, std::int64_t,  \
                                 Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
