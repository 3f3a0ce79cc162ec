// Bias sum by rows; bias gradient by blocks of columns: a thread owns its columns and takes the
// rows in order, in chunks whose sums are added in order.
#include "parallel/kernels/bias.h"

#include "parallel/kernels/pack.h"

namespace cloze {

template <class T>
struct AddBias {
  T* x;
  const T* bias;
  std::int64_t f;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void AddBias<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<Accumulator<T>, Set>;
  for (std::int64_t row = first; row < last; ++row) {
    for_each_pack<P>(f, [&](std::int64_t i, auto at) {
      store(x + row * f + i, load<P>(x + row * f + i, at) + load<P>(bias + i, at), at);
    });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(AddBias);

constexpr std::int64_t kBiasColumns = 512;  // Of one item: 2 KiB of a row at a time.
constexpr std::int64_t kBiasRows = 128;     // Of one partial sum.
constexpr int kRowsAtOnce = 8;              // Added in registers.

template <class T>
struct BiasGradient {
  using A = Accumulator<T>;
  const T* dy;
  A* dbias;
  std::int64_t n;
  std::int64_t f;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;

 private:
  template <int Rows, class P>
  void add_rows(const T* from, std::int64_t width, A* partial) const;
};

// Adds `Rows` rows to the partial sums, one after the other in registers.
template <class T>
template <int Rows, class P>
void BiasGradient<T>::add_rows(const T* from, std::int64_t width, A* partial) const {
  for_each_pack<P>(width, [&](std::int64_t i, auto at) {
    P total = load<P>(partial + i);
    for (int row = 0; row < Rows; ++row) total = total + load<P>(from + row * f + i, at);
    store(partial + i, total);
  });
}

template <class T>
template <class Set>
void BiasGradient<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  alignas(64) A partial[kBiasColumns];
  for (std::int64_t block = first; block < last; ++block) {
    const std::int64_t column = block * kBiasColumns;
    const std::int64_t width = f - column < kBiasColumns ? f - column : kBiasColumns;
    for (std::int64_t chunk = 0; chunk < n; chunk += kBiasRows) {
      for (std::int64_t i = 0; i < kBiasColumns; i += P::kLanes) store(partial + i, P(0));
      const std::int64_t end = n - chunk < kBiasRows ? n : chunk + kBiasRows;
      std::int64_t row = chunk;
      for (; row + kRowsAtOnce <= end; row += kRowsAtOnce) {
        add_rows<kRowsAtOnce, P>(dy + row * f + column, width, partial);
      }
      for (; row < end; ++row) add_rows<1, P>(dy + row * f + column, width, partial);
      for_each_pack<P>(width, [&](std::int64_t i, auto at) {
        A* total = dbias + column + i;
        store(total, load<P>(total, at) + load<P>(partial + i), at);
      });
    }
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(BiasGradient);

#ifndef CLOZE_KERNEL_AVX512

template <class T>
void add_bias(T* x, const T* bias, std::int64_t n, std::int64_t f) {
  run_parallel(AddBias<T>{x, bias, f}, n, grain_of(f * sizeof(T)));
}

template <class T>
void bias_gradient(const T* dy, Accumulator<T>* dbias, std::int64_t n, std::int64_t f) {
  run_parallel(BiasGradient<T>{dy, dbias, n, f}, (f + kBiasColumns - 1) / kBiasColumns,
               grain_of(n * kBiasColumns * sizeof(T)));
}

#define CLOZE_INSTANTIATE(T)                                        \
  template void add_bias(T*, const T*, std::int64_t, std::int64_t); \
  template void bias_gradient(const T*, Accumulator<T>*, std::int64_t, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
