// A block has a token at a time; a thread turns N pairs of a head (N / 2 interleaved ones).
#include "parallel/kernels/cuda/rotary.h"

#include "parallel/base/check.h"
#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;

template <class T>
struct Rotary {
  using A = Accumulator<T>;
  T* x;
  std::int64_t row_stride;
  std::int64_t n;
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t pairs;
  const std::int32_t* positions;
  const A* cos;
  const A* sin;
  A sign;
};

// Each output is two products and one sum, rounded each, as on the CPU.
template <class A>
__device__ inline void turn(A& first, A& second, A cosine, A sine) {
  const A turned = first * cosine - second * sine;
  second = second * cosine + first * sine;
  first = turned;
}

template <class T, int N, bool kInterleaved>
__global__ void __launch_bounds__(kBlock) rotary_kernel(const Rotary<T> call) {
  using A = Accumulator<T>;
  constexpr int kPairs = kInterleaved ? (N + 1) / 2 : N;  // Of one step.
  const auto steps = static_cast<unsigned>(call.pairs / kPairs);
  const std::int64_t all_steps = call.heads * steps;
  for (std::int64_t token = blockIdx.x; token < call.n; token += gridDim.x) {
    const std::int64_t turns = call.positions[token] * call.pairs;
    for (std::int64_t step = threadIdx.x; step < all_steps; step += blockDim.x) {
      const std::int64_t head = step / steps;
      const std::int64_t pair = (step - head * steps) * kPairs;
      T* const row = call.x + token * call.row_stride + head * call.head_dim;
      Values<A, kPairs> cosines;
      Values<A, kPairs> sines;
      CLOZE_UNROLL
      for (int j = 0; j < kPairs; ++j) {
        cosines.at[j] = call.cos[turns + pair + j];
        sines.at[j] = call.sign * call.sin[turns + pair + j];
      }
      if constexpr (kInterleaved) {
        T* const at = row + 2 * pair;
        if constexpr (N == 1) {
          A first = static_cast<A>(at[0]);
          A second = static_cast<A>(at[1]);
          turn(first, second, cosines.at[0], sines.at[0]);
          at[0] = static_cast<T>(first);
          at[1] = static_cast<T>(second);
        } else {
          Values<A, N> values = load<N>(at);
          CLOZE_UNROLL
          for (int j = 0; j < kPairs; ++j) {
            turn(values.at[2 * j], values.at[2 * j + 1], cosines.at[j], sines.at[j]);
          }
          store<N>(at, values);
        }
      } else {
        Values<A, N> first = load<N>(row + pair);
        Values<A, N> second = load<N>(row + call.pairs + pair);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) {
          turn(first.at[j], second.at[j], cosines.at[j], sines.at[j]);
        }
        store<N>(row + pair, first);
        store<N>(row + call.pairs + pair, second);
      }
    }
  }
}

}  // namespace

template <class T>
void rotary(T* x, std::int64_t row_stride, std::int64_t n, std::int64_t heads,
            std::int64_t head_dim, std::int64_t rotary_dim, const std::int32_t* positions,
            const Accumulator<T>* cos, const Accumulator<T>* sin, bool interleaved, bool inverse,
            Stream stream) {
  CLOZE_CHECK(rotary_dim % 2 == 0 && rotary_dim <= head_dim,
              str("rotary_dim ", rotary_dim, " does not fit head_dim ", head_dim),
              "choose an even rotary_dim of at most head_dim");
  const std::int64_t pairs = rotary_dim / 2;
  if (n == 0 || heads == 0 || pairs == 0) return;
  const Rotary<T> call{
      x,     row_stride, n,   heads, head_dim,
      pairs, positions,  cos, sin,   static_cast<Accumulator<T>>(inverse ? -1 : 1)};
  // Rows, heads and the second halves begin at whole accesses.
  const bool vectors = vectors_fit<T>(row_stride, {x}) && vectors_fit<T>(head_dim, {}) &&
                       vectors_fit<T>(interleaved ? rotary_dim : pairs, {});
  with_width<T>(vectors, [&](auto width) {
    constexpr int kN = width.value;
    auto* const kernel = interleaved ? &rotary_kernel<T, kN, true> : &rotary_kernel<T, kN, false>;
    const std::int64_t pairs_of_step = interleaved && kN > 1 ? kN / 2 : kN;
    CLOZE_LAUNCH(kernel, grid_of(n), threads_of(heads * pairs / pairs_of_step, kBlock), 0, stream,
                 call);
  });
}

#define CLOZE_INSTANTIATE(T)                                                                     \
  template void rotary(T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, \
                       const std::int32_t*, const Accumulator<T>*, const Accumulator<T>*, bool,  \
                       bool, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
