// Sums of fixed order.
#include "parallel/kernels/sums.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/kernels/pack.h"

namespace cloze {

constexpr std::int64_t kSquaresChunk = 65536;

template <class T>
struct SquaresOfChunks {
  const T* x;
  std::int64_t n;
  double* sums;  // [chunks]

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void SquaresOfChunks<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<double, Set>;
  for (std::int64_t chunk = first; chunk < last; ++chunk) {
    const T* from = x + chunk * kSquaresChunk;
    const std::int64_t left = n - chunk * kSquaresChunk;
    sums[chunk] =
        sum_of_packs<P>(left < kSquaresChunk ? left : kSquaresChunk, [&](std::int64_t i, auto at) {
          const P value = load<P>(from + i, at);
          return value * value;
        });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(SquaresOfChunks);

constexpr std::int64_t kPartsBlock = 4096;  // Elements of one item.

// Sums, or maxima, over the parts.
template <class T>
struct CombineParts {
  const T* const* parts;
  int num_parts;
  T* out;
  std::int64_t n;
  bool largest;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void CombineParts<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<Accumulator<T>, Set>;
  const std::int64_t begin = first * kPartsBlock;
  const std::int64_t end = last * kPartsBlock < n ? last * kPartsBlock : n;
  for_each_pack<P>(end - begin, [&](std::int64_t offset, auto at) {
    const std::int64_t i = begin + offset;
    P total = load<P>(parts[0] + i, at);
    for (int part = 1; part < num_parts; ++part) {
      const P next = load<P>(parts[part] + i, at);
      if (largest) {
        // max gives its second operand when either is a NaN: next here, so a NaN in total must
        // be put back.
        total = where_number(total, max(total, next), total);
      } else {
        total = total + next;
      }
    }
    store(out + i, total, at);
  });
}
CLOZE_KERNEL_OF_ALL_TYPES(CombineParts);

#ifndef CLOZE_KERNEL_AVX512

template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  const std::int64_t chunks = (n + kSquaresChunk - 1) / kSquaresChunk;
  std::vector<double> sums(chunks);
  run_parallel(SquaresOfChunks<T>{x, n, sums.data()}, chunks, 1);
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

template <class T>
void combine_parts(const T* const* parts, int num_parts, T* out, std::int64_t n, bool largest) {
  CLOZE_CHECK(num_parts >= 1, "there are no parts to combine", "pass at least one part");
  run_parallel(CombineParts<T>{parts, num_parts, out, n, largest},
               (n + kPartsBlock - 1) / kPartsBlock, 1);
}

template <class T>
void ordered_sum(const T* const* parts, int num_parts, T* out, std::int64_t n) {
  combine_parts(parts, num_parts, out, n, /*largest=*/false);
}

template <class T>
void ordered_max(const T* const* parts, int num_parts, T* out, std::int64_t n) {
  combine_parts(parts, num_parts, out, n, /*largest=*/true);
}

template <class T, class Combine>
void combine_counts(const T* const* parts, int num_parts, T* out, std::int64_t n,
                    const Combine& combine) {
  CLOZE_CHECK(num_parts >= 1, "there are no parts to combine", "pass at least one part");
  for (std::int64_t i = 0; i < n; ++i) {
    T total = parts[0][i];
    for (int part = 1; part < num_parts; ++part) total = combine(total, parts[part][i]);
    out[i] = total;
  }
}

template <class T>
void count_sum(const T* const* parts, int num_parts, T* out, std::int64_t n) {
  using Unsigned = std::make_unsigned_t<T>;  // In which wrapping is defined.
  combine_counts(parts, num_parts, out, n, [](T a, T b) {
    return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  });
}

template <class T>
void count_max(const T* const* parts, int num_parts, T* out, std::int64_t n) {
  combine_counts(parts, num_parts, out, n, [](T a, T b) { return std::max(a, b); });
}

#define CLOZE_INSTANTIATE(T)                                       \
  template void count_sum(const T* const*, int, T*, std::int64_t); \
  template void count_max(const T* const*, int, T*, std::int64_t)
CLOZE_INSTANTIATE(std::int64_t);
CLOZE_INSTANTIATE(std::int32_t);
CLOZE_INSTANTIATE(std::uint8_t);
#undef CLOZE_INSTANTIATE

#define CLOZE_INSTANTIATE(T)                                         \
  template double sum_of_squares(const T*, std::int64_t);            \
  template void ordered_sum(const T* const*, int, T*, std::int64_t); \
  template void ordered_max(const T* const*, int, T*, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
