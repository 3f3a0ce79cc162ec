// The machine's vectors in the AVX-512 compilation: a whole pack each. See pack.h.
#pragma once

#include <immintrin.h>

#include "parallel/kernels/instruction_set.h"

namespace cloze {

template <class A, class Set>
struct Register;
template <>
struct Register<float, Avx512> {
  using Floats = __m512;
  using Integers = __v16si;
};
template <>
struct Register<double, Avx512> {
  using Floats = __m512d;
  using Integers = __v8di;
  using Words = __v8du;
};

#define CLOZE_INLINE [[gnu::always_inline]] static inline
CLOZE_INLINE __m512 fma_of(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
CLOZE_INLINE __m512d fma_of(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
CLOZE_INLINE __m512 sqrt_of(__m512 a) { return _mm512_sqrt_ps(a); }
CLOZE_INLINE __m512d sqrt_of(__m512d a) { return _mm512_sqrt_pd(a); }
// The second operand wins when either is a NaN.
CLOZE_INLINE __m512 max_of(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
CLOZE_INLINE __m512d max_of(__m512d a, __m512d b) { return _mm512_max_pd(a, b); }
CLOZE_INLINE __m512 min_of(__m512 a, __m512 b) { return _mm512_min_ps(a, b); }
CLOZE_INLINE __m512d min_of(__m512d a, __m512d b) { return _mm512_min_pd(a, b); }

CLOZE_INLINE __m256 lower_half(__m512 a) { return _mm512_castps512_ps256(a); }
CLOZE_INLINE __m256d lower_half(__m512d a) { return _mm512_castpd512_pd256(a); }
CLOZE_INLINE __m256 upper_half(__m512 a) { return _mm512_extractf32x8_ps(a, 1); }
CLOZE_INLINE __m256d upper_half(__m512d a) { return _mm512_extractf64x4_pd(a, 1); }

// Of the low 32 bits of each lane.
CLOZE_INLINE __v8du low_product(__v8du a, __v8du b) {
  return reinterpret_cast<__v8du>(
      _mm512_mul_epu32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

CLOZE_INLINE void load_register(const float* from, __m512& to) { to = _mm512_loadu_ps(from); }
CLOZE_INLINE void load_register(const double* from, __m512d& to) { to = _mm512_loadu_pd(from); }
CLOZE_INLINE void load_register(const BFloat16* from, __m512& to) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  to = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
}
CLOZE_INLINE void load_register(const Float16* from, __m512& to) {
  to = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
// Doubles of the narrower types, for sums in double.
CLOZE_INLINE void load_register(const float* from, __m512d& to) {
  to = _mm512_cvtps_pd(_mm256_loadu_ps(from));
}
CLOZE_INLINE void load_register(const BFloat16* from, __m512d& to) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  to = _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16)));
}
CLOZE_INLINE void load_register(const Float16* from, __m512d& to) {
  to = _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
CLOZE_INLINE void store_register(float* to, __m512 from) { _mm512_storeu_ps(to, from); }
CLOZE_INLINE void store_register(double* to, __m512d from) { _mm512_storeu_pd(to, from); }
CLOZE_INLINE void store_register(BFloat16* to, __m512 from) {
  const __m512i raw = _mm512_castps_si512(from);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(raw, 16), _mm512_set1_epi32(1));
  const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(raw, bias), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(raw, 16), _mm512_set1_epi32(0x40));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(from, from, _CMP_UNORD_Q);
  const __m512i bits = _mm512_mask_mov_epi32(rounded, is_nan, quiet);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(bits));
}
CLOZE_INLINE void store_register(Float16* to, __m512 from) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(from, _MM_FROUND_TO_NEAREST_INT));
}
#undef CLOZE_INLINE

}  // namespace cloze
