// Rotary position embedding. Each output is two products and one sum, rounded to the accumulator
// each (no fused multiply-add), so plain code and vector code give the same bits.
#include "parallel/kernels/rotary.h"

#include <cmath>

#include "parallel/base/check.h"
#include "parallel/kernels/pack.h"

namespace cloze {

template <class T>
struct Rotary {
  using A = Accumulator<T>;
  T* x;
  std::int64_t row_stride;
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t pairs;
  const std::int32_t* positions;
  const A* cos;
  const A* sin;
  bool interleaved;
  bool inverse;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void Rotary<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  const A sign = inverse ? A{-1} : A{1};
  for (std::int64_t token = first; token < last; ++token) {
    const A* cosines = cos + positions[token] * pairs;
    const A* sines = sin + positions[token] * pairs;
    for (std::int64_t head = 0; head < heads; ++head) {
      T* row = x + token * row_stride + head * head_dim;
      if (interleaved) {
        for (std::int64_t i = 0; i < pairs; ++i) {
          const A even = static_cast<A>(row[2 * i]);
          const A odd = static_cast<A>(row[2 * i + 1]);
          const A sine = sign * sines[i];
          row[2 * i] = static_cast<T>(even * cosines[i] - odd * sine);
          row[2 * i + 1] = static_cast<T>(odd * cosines[i] + even * sine);
        }
      } else {
        for_each_pack<P>(pairs, [&](std::int64_t i, auto at) {
          const P low = load<P>(row + i, at);
          const P high = load<P>(row + pairs + i, at);
          const P cosine = load<P>(cosines + i, at);
          const P sine = P(sign) * load<P>(sines + i, at);
          store(row + i, low * cosine - high * sine, at);
          store(row + pairs + i, high * cosine + low * sine, at);
        });
      }
    }
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(Rotary);

#ifndef CLOZE_KERNEL_AVX512

template <class Acc>
RotaryTable<Acc>::RotaryTable(double rope_theta, std::int64_t rotary_dim,
                              std::int64_t max_position) {
  CLOZE_CHECK(rotary_dim >= 0 && rotary_dim % 2 == 0,
              str("rotary_dim ", rotary_dim, " is not a whole number of pairs"),
              "choose head_dim and partial_rotary_factor with an even product");
  const std::int64_t pairs = rotary_dim / 2;
  cos.resize(max_position * pairs);
  sin.resize(max_position * pairs);
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double frequency =
        std::pow(rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim));
    for (std::int64_t position = 0; position < max_position; ++position) {
      const double angle = static_cast<double>(position) * frequency;
      cos[position * pairs + i] = static_cast<Acc>(std::cos(angle));
      sin[position * pairs + i] = static_cast<Acc>(std::sin(angle));
    }
  }
}
template struct RotaryTable<double>;
template struct RotaryTable<float>;

template <class T>
void rotary(T* x, std::int64_t row_stride, std::int64_t n, std::int64_t heads,
            std::int64_t head_dim, std::int64_t rotary_dim, const std::int32_t* positions,
            const Accumulator<T>* cos, const Accumulator<T>* sin, bool interleaved, bool inverse) {
  CLOZE_CHECK(rotary_dim % 2 == 0 && rotary_dim <= head_dim,
              str("rotary_dim ", rotary_dim, " does not fit head_dim ", head_dim),
              "choose an even rotary_dim of at most head_dim");
  run_parallel(Rotary<T>{x, row_stride, heads, head_dim, rotary_dim / 2, positions, cos, sin,
                         interleaved, inverse},
               n, grain_of(heads * rotary_dim * sizeof(T)));
}

#define CLOZE_INSTANTIATE(T)                                                                     \
  template void rotary(T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, \
                       const std::int32_t*, const Accumulator<T>*, const Accumulator<T>*, bool,  \
                       bool)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
