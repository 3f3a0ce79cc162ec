// A pack: 64 bytes of accumulators, the unit in which every kernel computes. It is one vector of
// AVX-512 and two of AVX2, so both give the same bits: a sum has the same sixteen (for double,
// eight) running totals on either. The last elements of a row are copied into a pack filled up
// with zeros and take the same instructions, so an element's bits do not depend on its place.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#ifdef CLOZE_KERNEL_AVX512
#include "parallel/kernels/registers_avx512.h"
#else
#include "parallel/kernels/registers_avx2.h"
#endif

namespace cloze {

template <class A, class Set>
struct Pack {
  using Value = A;
  using Floats = Register<A, Set>::Floats;
  using Integers = Register<A, Set>::Integers;
  static constexpr int kLanes = 64 / sizeof(A);
  static constexpr int kParts = 64 / sizeof(Floats);

  Floats part[kParts];

  Pack() = default;
  // The same value in every lane. Taking zero away leaves every value as it is, so the compiler
  // emits a broadcast alone; adding it would not leave -0.
  [[gnu::always_inline]] explicit Pack(A value) {
    for (Floats& each : part) each = value - Floats{};
  }

  [[gnu::always_inline]] friend Pack operator+(Pack a, Pack b) {
    for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] + b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Pack operator-(Pack a, Pack b) {
    for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] - b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Pack operator*(Pack a, Pack b) {
    for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] * b.part[i];
    return a;
  }
  [[gnu::always_inline]] friend Pack operator/(Pack a, Pack b) {
    for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] / b.part[i];
    return a;
  }
};

// a * b + c, rounded once.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> fma(Pack<A, Set> a, Pack<A, Set> b, Pack<A, Set> c) {
  for (int i = 0; i < a.kParts; ++i) c.part[i] = fma_of(a.part[i], b.part[i], c.part[i]);
  return c;
}

template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> sqrt(Pack<A, Set> a) {
  for (int i = 0; i < a.kParts; ++i) a.part[i] = sqrt_of(a.part[i]);
  return a;
}

// Lane by lane; b where either is a NaN.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> max(Pack<A, Set> a, Pack<A, Set> b) {
  for (int i = 0; i < a.kParts; ++i) a.part[i] = max_of(a.part[i], b.part[i]);
  return a;
}

template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> min(Pack<A, Set> a, Pack<A, Set> b) {
  for (int i = 0; i < a.kParts; ++i) a.part[i] = min_of(a.part[i], b.part[i]);
  return a;
}

// Lanes of `yes` where a < b, of `no` elsewhere.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> where_less(Pack<A, Set> a, Pack<A, Set> b,
                                                      Pack<A, Set> yes, Pack<A, Set> no) {
  for (int i = 0; i < a.kParts; ++i) {
    no.part[i] = a.part[i] < b.part[i] ? yes.part[i] : no.part[i];
  }
  return no;
}

// Lanes of `yes` where a is a number, of `no` where it is a NaN.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> where_number(Pack<A, Set> a, Pack<A, Set> yes,
                                                        Pack<A, Set> no) {
  for (int i = 0; i < a.kParts; ++i) {
    no.part[i] = a.part[i] == a.part[i] ? yes.part[i] : no.part[i];
  }
  return no;
}

// 2^e for whole e in every lane, -126 <= e <= 127 (double: -1022 to 1023).
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> power_of_two(Pack<A, Set> e) {
  using P = Pack<A, Set>;
  constexpr bool kIsFloat = sizeof(A) == 4;
  constexpr int kMantissaBits = kIsFloat ? 23 : 52;
  // Adding 1.5 * 2^bits leaves e plus the exponent's bias in the low bits of the mantissa.
  const P shifted =
      e + P(static_cast<A>((kIsFloat ? 0x1.8p23 : 0x1.8p52) + (kIsFloat ? 127 : 1023)));
  P result;
  for (int i = 0; i < e.kParts; ++i) {
    const auto bits = reinterpret_cast<P::Integers>(shifted.part[i]);
    result.part[i] = reinterpret_cast<P::Floats>(bits << kMantissaBits);
  }
  return result;
}

// 0, 1, 2, ...
template <class P>
[[gnu::always_inline]] inline P lane_numbers() {
  alignas(64) typename P::Value numbers[P::kLanes];
  for (int lane = 0; lane < P::kLanes; ++lane) numbers[lane] = static_cast<P::Value>(lane);
  P result;
  for (int i = 0; i < P::kParts; ++i) {
    load_register(numbers + i * (P::kLanes / P::kParts), result.part[i]);
  }
  return result;
}

// Where a pack stands in a row: inside it, or at its end with `count` elements left.
struct Whole {};
struct Tail {
  int count;
};

template <class P, class T>
[[gnu::always_inline]] inline P load(const T* from, Whole = {}) {
  P result;
  for (int i = 0; i < P::kParts; ++i) {
    load_register(from + i * (P::kLanes / P::kParts), result.part[i]);
  }
  return result;
}

template <class P, class T>
[[gnu::always_inline]] inline P load(const T* from, Tail tail) {
  T padded[P::kLanes] = {};
  for (int lane = 0; lane < tail.count; ++lane) padded[lane] = from[lane];
  return load<P>(padded);
}

template <class T, class A, class Set>
[[gnu::always_inline]] inline void store(T* to, Pack<A, Set> from, Whole = {}) {
  for (int i = 0; i < from.kParts; ++i) {
    store_register(to + i * (from.kLanes / from.kParts), from.part[i]);
  }
}

template <class T, class A, class Set>
[[gnu::always_inline]] inline void store(T* to, Pack<A, Set> from, Tail tail) {
  T padded[Pack<A, Set>::kLanes];
  store(padded, from);
  for (int lane = 0; lane < tail.count; ++lane) to[lane] = padded[lane];
}

// The value as it would read back from storage of type T.
template <class T, class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> round_to(Pack<A, Set> value) {
  if constexpr (std::is_same_v<T, A>) {
    return value;
  } else {
    alignas(64) T stored[Pack<A, Set>::kLanes];
    store(stored, value);
    return load<Pack<A, Set>>(stored);
  }
}

// Lanes beyond the row become `filler`.
template <class P>
[[gnu::always_inline]] inline P keep(P value, Whole, typename P::Value = 0) {
  return value;
}
template <class P>
[[gnu::always_inline]] inline P keep(P value, Tail tail, typename P::Value filler = 0) {
  using A = P::Value;
  return where_less(lane_numbers<P>(), P(static_cast<A>(tail.count)), value, P(filler));
}

// Over the lanes, in a tree of fixed shape: lane i with lane i + 8, then + 4, + 2, + 1.
template <class Combine>
[[gnu::always_inline]] inline float fold_lanes(__m256 value, Combine combine) {
  __m128 rest = combine(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
  rest = combine(rest, _mm_movehl_ps(rest, rest));
  return combine(rest, _mm_movehdup_ps(rest))[0];
}
template <class Combine>
[[gnu::always_inline]] inline double fold_lanes(__m256d value, Combine combine) {
  const __m128d rest = combine(_mm256_castpd256_pd128(value), _mm256_extractf128_pd(value, 1));
  return combine(rest, _mm_unpackhi_pd(rest, rest))[0];
}
template <class A, class Set, class Combine>
[[gnu::always_inline]] inline A fold(Pack<A, Set> value, Combine combine) {
  if constexpr (Pack<A, Set>::kParts == 2) {
    return fold_lanes(combine(value.part[0], value.part[1]), combine);
  } else {
    return fold_lanes(combine(lower_half(value.part[0]), upper_half(value.part[0])), combine);
  }
}
template <class A, class Set>
[[gnu::always_inline]] inline A sum(Pack<A, Set> value) {
  return fold(value, [](auto a, auto b) { return a + b; });
}
template <class A, class Set>
[[gnu::always_inline]] inline A max(Pack<A, Set> value) {
  return fold(value, [](auto a, auto b) { return a > b ? a : b; });
}

// Calls body(i, Whole or Tail) for each pack of a row of n elements.
template <class P, class Body>
[[gnu::always_inline]] inline void for_each_pack(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + P::kLanes <= n; i += P::kLanes) body(i, Whole{});
  if (i < n) body(i, Tail{static_cast<int>(n - i)});
}

// Sums term(i, Whole or Tail) over the packs of a row: four running packs inside blocks of 4096
// elements, whose sums are added in order. What `term` gives beyond the row does not count.
template <class P, class Term>
[[gnu::always_inline]] inline P::Value sum_of_packs(std::int64_t n, Term term) {
  constexpr std::int64_t kBlock = 4096;
  constexpr std::int64_t kLanes = P::kLanes;
  P total(0);
  for (std::int64_t block = 0; block < n; block += kBlock) {
    const std::int64_t end = n - block < kBlock ? n : block + kBlock;
    P partial0(0), partial1(0), partial2(0), partial3(0);
    std::int64_t i = block;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      partial0 = partial0 + term(i, Whole{});
      partial1 = partial1 + term(i + kLanes, Whole{});
      partial2 = partial2 + term(i + 2 * kLanes, Whole{});
      partial3 = partial3 + term(i + 3 * kLanes, Whole{});
    }
    for (; i + kLanes <= end; i += kLanes) partial0 = partial0 + term(i, Whole{});
    if (i < end) {
      const Tail tail{static_cast<int>(end - i)};
      partial0 = partial0 + keep(term(i, tail), tail);
    }
    total = total + ((partial0 + partial1) + (partial2 + partial3));
  }
  return sum(total);
}

}  // namespace cloze
