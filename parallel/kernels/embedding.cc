// Embedding by tokens; its gradient by blocks of channels: a thread owns its channels of the
// whole table and takes the tokens in order, so equal ids add up in token order.
#include "parallel/kernels/embedding.h"

#include <cstring>

#include "parallel/kernels/pack.h"

namespace cloze {

template <class T>
struct EmbeddingForward {
  const T* table;
  std::int64_t first_id;
  std::int64_t rows;
  const std::int32_t* ids;
  T* out;
  std::int64_t hidden;
  bool accumulate;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void EmbeddingForward<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<Accumulator<T>, Set>;
  for (std::int64_t token = first; token < last; ++token) {
    const std::int64_t row = ids[token] - first_id;
    const bool here = row >= 0 && row < rows;
    T* to = out + token * hidden;
    if (!here) {
      if (accumulate) continue;
      for_each_pack<P>(hidden, [&](std::int64_t i, auto at) { store(to + i, P(0), at); });
      continue;
    }
    const T* from = table + row * hidden;
    if (!accumulate) {
      std::memcpy(to, from, static_cast<std::size_t>(hidden) * sizeof(T));
      continue;
    }
    for_each_pack<P>(hidden, [&](std::int64_t i, auto at) {
      store(to + i, load<P>(to + i, at) + load<P>(from + i, at), at);
    });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(EmbeddingForward);

constexpr std::int64_t kEmbeddingChannels = 64;  // Of one item.

template <class T>
struct EmbeddingBackward {
  using A = Accumulator<T>;
  const T* dout;
  const std::int32_t* ids;
  std::int64_t first_id;
  std::int64_t rows;
  A* dtable;
  std::int64_t n;
  std::int64_t hidden;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void EmbeddingBackward<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  const std::int64_t begin = first * kEmbeddingChannels;
  const std::int64_t end = last * kEmbeddingChannels < hidden ? last * kEmbeddingChannels : hidden;
  for (std::int64_t token = 0; token < n; ++token) {
    const std::int64_t row = ids[token] - first_id;
    if (row < 0 || row >= rows) continue;
    A* to = dtable + row * hidden + begin;
    const T* from = dout + token * hidden + begin;
    for_each_pack<P>(end - begin, [&](std::int64_t i, auto at) {
      store(to + i, load<P>(to + i, at) + load<P>(from + i, at), at);
    });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(EmbeddingBackward);

#ifndef CLOZE_KERNEL_AVX512

template <class T>
void embedding_forward(const T* table, std::int64_t first_id, std::int64_t rows,
                       const std::int32_t* ids, T* out, std::int64_t n, std::int64_t hidden,
                       bool accumulate) {
  run_parallel(EmbeddingForward<T>{table, first_id, rows, ids, out, hidden, accumulate}, n,
               grain_of(hidden * sizeof(T)));
}

template <class T>
void embedding_backward(const T* dout, const std::int32_t* ids, std::int64_t first_id,
                        std::int64_t rows, Accumulator<T>* dtable, std::int64_t n,
                        std::int64_t hidden) {
  run_parallel(EmbeddingBackward<T>{dout, ids, first_id, rows, dtable, n, hidden},
               (hidden + kEmbeddingChannels - 1) / kEmbeddingChannels,
               grain_of(n * kEmbeddingChannels * sizeof(T)));
}

#define CLOZE_INSTANTIATE(T)                                                                     \
  template void embedding_forward(const T*, std::int64_t, std::int64_t, const std::int32_t*, T*, \
                                  std::int64_t, std::int64_t, bool);                             \
  template void embedding_backward(const T*, const std::int32_t*, std::int64_t, std::int64_t,    \
                                   Accumulator<T>*, std::int64_t, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
