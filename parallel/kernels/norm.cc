// RMSNorm and LayerNorm. Forward reads a row twice (statistics, then result), backward twice
// (two dot products, then dx); weight gradients go through partial sums of fixed chunks of rows.
#include "parallel/kernels/norm.h"

#include <cmath>
#include <vector>

#include "parallel/kernels/pack.h"

namespace cloze {

// The statistics of LayerNorm are those of RMSNorm after the mean is taken away; `mean` is null
// for RMSNorm.
template <class T>
struct NormForward {
  using A = Accumulator<T>;
  const T* x;
  const T* delta;
  T* sum_out;
  const T* weight;
  const T* bias;
  T* y;
  A* mean;
  A* rstd;
  std::int64_t hidden;
  double eps;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void NormForward<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  for (std::int64_t row = first; row < last; ++row) {
    const T* input = x + row * hidden;
    if (delta != nullptr) {
      for_each_pack<P>(hidden, [&](std::int64_t i, auto at) {
        const std::int64_t j = row * hidden + i;
        store(sum_out + j, load<P>(x + j, at) + load<P>(delta + j, at), at);
      });
      input = sum_out + row * hidden;
    }
    A center = 0;
    if (mean != nullptr) {
      center =
          sum_of_packs<P>(hidden, [&](std::int64_t i, auto at) { return load<P>(input + i, at); }) /
          static_cast<A>(hidden);
      mean[row] = center;
    }
    const A squares = sum_of_packs<P>(hidden, [&](std::int64_t i, auto at) {
      const P value = load<P>(input + i, at) - P(center);
      return value * value;
    });
    const A scale = 1 / std::sqrt(squares / static_cast<A>(hidden) + static_cast<A>(eps));
    rstd[row] = scale;
    for_each_pack<P>(hidden, [&](std::int64_t i, auto at) {
      const P normed = (load<P>(input + i, at) - P(center)) * P(scale);
      const P factor = load<P>(weight + i, at);
      T* result = y + row * hidden + i;
      if (bias != nullptr) {
        store(result, fma(normed, factor, load<P>(bias + i, at)), at);
      } else {
        store(result, round_to<T>(normed) * factor, at);
      }
    });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(NormForward);

// One item is a chunk of kNormChunk rows, whose weight gradients are summed in row order.
constexpr std::int64_t kNormChunk = 64;

template <class T>
struct NormBackward {
  using A = Accumulator<T>;
  const T* dy;
  const T* x;
  const T* weight;
  const A* mean;  // Null for RMSNorm.
  const A* rstd;
  const T* dresidual;
  T* dx;
  A* dweight_parts;  // [chunks, hidden], zero
  A* dbias_parts;    // The same, null for RMSNorm.
  std::int64_t n;
  std::int64_t hidden;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void NormBackward<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  for (std::int64_t chunk = first; chunk < last; ++chunk) {
    const std::int64_t end = (chunk + 1) * kNormChunk < n ? (chunk + 1) * kNormChunk : n;
    A* dweight = dweight_parts + chunk * hidden;
    A* dbias = mean == nullptr ? nullptr : dbias_parts + chunk * hidden;
    for (std::int64_t row = chunk * kNormChunk; row < end; ++row) {
      const T* row_dy = dy + row * hidden;
      const T* row_x = x + row * hidden;
      const P center(mean == nullptr ? A{0} : mean[row]);
      const P scale(rstd[row]);
      const A count = static_cast<A>(hidden);
      const auto normed = [&](std::int64_t i, auto at) {
        return (load<P>(row_x + i, at) - center) * scale;
      };
      // dx = rstd * (g - mean(g) - normed * mean(g * normed)), g = dy * weight; RMSNorm has no
      // mean(g).
      const P along(sum_of_packs<P>(hidden,
                                    [&](std::int64_t i, auto at) {
                                      const P g = load<P>(row_dy + i, at) * load<P>(weight + i, at);
                                      return g * normed(i, at);
                                    }) /
                    count);
      P average(0);
      if (dbias != nullptr) {
        average = P(sum_of_packs<P>(hidden,
                                    [&](std::int64_t i, auto at) {
                                      return load<P>(row_dy + i, at) * load<P>(weight + i, at);
                                    }) /
                    count);
      }
      for_each_pack<P>(hidden, [&](std::int64_t i, auto at) {
        const P dout = load<P>(row_dy + i, at);
        const P unit = normed(i, at);
        P result = (dout * load<P>(weight + i, at) - average - unit * along) * scale;
        if (dresidual != nullptr) {
          result = round_to<T>(result) + load<P>(dresidual + row * hidden + i, at);
        }
        if (dbias != nullptr) {
          store(dweight + i, fma(dout, unit, load<P>(dweight + i, at)), at);
          store(dbias + i, dout + load<P>(dbias + i, at), at);
        } else {
          store(dweight + i, fma(dout, round_to<T>(unit), load<P>(dweight + i, at)), at);
        }
        store(dx + row * hidden + i, result, at);
      });
    }
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(NormBackward);

#ifndef CLOZE_KERNEL_AVX512

namespace {

// total += the rows of parts [chunks, hidden], in order.
template <class A>
void add_parts(const std::vector<A>& parts, std::int64_t chunks, std::int64_t hidden, A* total) {
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (std::int64_t i = 0; i < hidden; ++i) total[i] += parts[chunk * hidden + i];
  }
}

template <class T>
void norm_backward(NormBackward<T> work, Accumulator<T>* dweight, Accumulator<T>* dbias) {
  const std::int64_t chunks = (work.n + kNormChunk - 1) / kNormChunk;
  std::vector<Accumulator<T>> dweight_parts(chunks * work.hidden);
  std::vector<Accumulator<T>> dbias_parts(dbias == nullptr ? 0 : chunks * work.hidden);
  work.dweight_parts = dweight_parts.data();
  work.dbias_parts = dbias_parts.data();
  run_parallel(work, chunks, 1);
  add_parts(dweight_parts, chunks, work.hidden, dweight);
  if (dbias != nullptr) add_parts(dbias_parts, chunks, work.hidden, dbias);
}

}  // namespace

template <class T>
void rms_norm_forward(const T* x, const T* weight, T* y, Accumulator<T>* rstd, std::int64_t n,
                      std::int64_t hidden, double eps, const T* delta, T* sum_out) {
  run_parallel(NormForward<T>{x, delta, sum_out, weight, nullptr, y, nullptr, rstd, hidden, eps}, n,
               grain_of(hidden * sizeof(T)));
}

template <class T>
void layer_norm_forward(const T* x, const T* weight, const T* bias, T* y, Accumulator<T>* mean,
                        Accumulator<T>* rstd, std::int64_t n, std::int64_t hidden, double eps,
                        const T* delta, T* sum_out) {
  run_parallel(NormForward<T>{x, delta, sum_out, weight, bias, y, mean, rstd, hidden, eps}, n,
               grain_of(hidden * sizeof(T)));
}

template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* rstd, T* dx,
                       Accumulator<T>* dweight, std::int64_t n, std::int64_t hidden,
                       const T* dresidual) {
  norm_backward(
      NormBackward<T>{dy, x, weight, nullptr, rstd, dresidual, dx, nullptr, nullptr, n, hidden},
      dweight, static_cast<Accumulator<T>*>(nullptr));
}

template <class T>
void layer_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* mean,
                         const Accumulator<T>* rstd, T* dx, Accumulator<T>* dweight,
                         Accumulator<T>* dbias, std::int64_t n, std::int64_t hidden,
                         const T* dresidual) {
  norm_backward(
      NormBackward<T>{dy, x, weight, mean, rstd, dresidual, dx, nullptr, nullptr, n, hidden},
      dweight, dbias);
}

#define CLOZE_INSTANTIATE(T)                                                                      \
  template void rms_norm_forward(const T*, const T*, T*, Accumulator<T>*, std::int64_t,           \
                                 std::int64_t, double, const T*, T*);                             \
  template void rms_norm_backward(const T*, const T*, const T*, const Accumulator<T>*, T*,        \
                                  Accumulator<T>*, std::int64_t, std::int64_t, const T*);         \
  template void layer_norm_forward(const T*, const T*, const T*, T*, Accumulator<T>*,             \
                                   Accumulator<T>*, std::int64_t, std::int64_t, double, const T*, \
                                   T*);                                                           \
  template void layer_norm_backward(const T*, const T*, const T*, const Accumulator<T>*,          \
                                    const Accumulator<T>*, T*, Accumulator<T>*, Accumulator<T>*,  \
                                    std::int64_t, std::int64_t, const T*)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
