// The machine's vectors in the AVX2 compilation: half a pack each. See pack.h.
#pragma once

#include <immintrin.h>

#include "parallel/kernels/instruction_set.h"

namespace cloze {

template <class A, class Set>
struct Register;
template <>
struct Register<float, Avx2> {
  using Floats = __m256;
  using Integers = __v8si;
};
template <>
struct Register<double, Avx2> {
  using Floats = __m256d;
  using Integers = __v4di;
  using Words = __v4du;
};

#define CLOZE_INLINE [[gnu::always_inline]] static inline
CLOZE_INLINE __m256 fma_of(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
CLOZE_INLINE __m256d fma_of(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
CLOZE_INLINE __m256 sqrt_of(__m256 a) { return _mm256_sqrt_ps(a); }
CLOZE_INLINE __m256d sqrt_of(__m256d a) { return _mm256_sqrt_pd(a); }
// The second operand wins when either is a NaN.
CLOZE_INLINE __m256 max_of(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
CLOZE_INLINE __m256d max_of(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
CLOZE_INLINE __m256 min_of(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
CLOZE_INLINE __m256d min_of(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }

// Of the low 32 bits of each lane.
CLOZE_INLINE __v4du low_product(__v4du a, __v4du b) {
  return reinterpret_cast<__v4du>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}

CLOZE_INLINE void load_register(const float* from, __m256& to) { to = _mm256_loadu_ps(from); }
CLOZE_INLINE void load_register(const double* from, __m256d& to) { to = _mm256_loadu_pd(from); }
CLOZE_INLINE void load_register(const BFloat16* from, __m256& to) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  to = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
CLOZE_INLINE void load_register(const Float16* from, __m256& to) {
  to = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
// Doubles of the narrower types, for sums in double.
CLOZE_INLINE void load_register(const float* from, __m256d& to) {
  to = _mm256_cvtps_pd(_mm_loadu_ps(from));
}
CLOZE_INLINE void load_register(const BFloat16* from, __m256d& to) {
  const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  to = _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(raw), 16)));
}
CLOZE_INLINE void load_register(const Float16* from, __m256d& to) {
  to = _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
CLOZE_INLINE void store_register(float* to, __m256 from) { _mm256_storeu_ps(to, from); }
CLOZE_INLINE void store_register(double* to, __m256d from) { _mm256_storeu_pd(to, from); }
CLOZE_INLINE void store_register(BFloat16* to, __m256 from) {
  const __m256i raw = _mm256_castps_si256(from);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(raw, 16), _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(raw, bias), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(raw, 16), _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(from, from, _CMP_UNORD_Q));
  const __m256i bits = _mm256_blendv_epi8(rounded, quiet, is_nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(bits, bits), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
CLOZE_INLINE void store_register(Float16* to, __m256 from) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm256_cvtps_ph(from, _MM_FROUND_TO_NEAREST_INT));
}
#undef CLOZE_INLINE

}  // namespace cloze
