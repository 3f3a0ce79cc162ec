// exp and the functions made of it, on packs.
#pragma once

#include "parallel/kernels/pack.h"

namespace cloze {

// The parts of e^x = power * 2^k: k whole, power between 1/sqrt(2) and sqrt(2). The caller bounds
// x, so that 2^k or its half is a number.
template <class P>
struct ExpParts {
  P power;
  P k;
};

// x * factor, rounded to a whole number: adding and taking away 1.5 * 2^mantissa bits does that.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> whole_product(Pack<A, Set> x, double factor) {
  using P = Pack<A, Set>;
  const P whole(static_cast<A>(sizeof(A) == 4 ? 0x1.8p23 : 0x1.8p52));
  return fma(x, P(static_cast<A>(factor)), whole) - whole;
}

template <class A, class Set>
[[gnu::always_inline]] inline ExpParts<Pack<A, Set>> exp_parts(Pack<A, Set> x) {
  using P = Pack<A, Set>;
  constexpr bool kIsFloat = sizeof(A) == 4;
  // x = k ln 2 + r with whole k.
  const P k = whole_product(x, 1.4426950408889634);
  // ln 2 in two parts; k times the high one is exact enough for k ln 2 to lose nothing.
  const double ln2_high = kIsFloat ? 0.693359375 : 6.93147180369123816490e-01;
  const double ln2_low = kIsFloat ? -2.12194440e-4 : 1.90821492927058770002e-10;
  P r = fma(k, P(static_cast<A>(-ln2_high)), x);
  r = fma(k, P(static_cast<A>(-ln2_low)), r);
  P series;
  if constexpr (kIsFloat) {
    // Coefficients of Cephes' expf (Moshier).
    series = P(1.9875691500e-4F);
    series = fma(series, r, P(1.3981999507e-3F));
    series = fma(series, r, P(8.3334519073e-3F));
    series = fma(series, r, P(4.1665795894e-2F));
    series = fma(series, r, P(1.6666665459e-1F));
    series = fma(series, r, P(5.0000001201e-1F));
  } else {
    // Taylor: |r| < 0.347, so the first term left out, r^14 / 14!, is below 5e-18.
    constexpr double kFactorials[] = {6227020800.0, 479001600.0, 39916800.0, 3628800.0,
                                      362880.0,     40320.0,     5040.0,     720.0,
                                      120.0,        24.0,        6.0,        2.0};
    series = P(1.0 / kFactorials[0]);
    for (int i = 1; i < 12; ++i) series = fma(series, r, P(1.0 / kFactorials[i]));
  }
  return {.power = fma(series, r * r, r) + P(1), .k = k};
}

// e^x: below 1 ulp for float and for double (elementary_test.cc measures it). Overflow gives
// infinity, underflow goes through the subnormals to 0, a NaN stays one.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> exp(Pack<A, Set> x) {
  using P = Pack<A, Set>;
  constexpr bool kIsFloat = sizeof(A) == 4;
  x = min(P(static_cast<A>(kIsFloat ? 89.0 : 710.0)), x);
  x = max(P(static_cast<A>(kIsFloat ? -104.0 : -746.0)), x);
  const auto [power, k] = exp_parts(x);
  // 2^k in two factors, so that results below the smallest normal number round once.
  const P half = whole_product(k, 0.5);
  return power * power_of_two(half) * power_of_two(k - half);
}

// e^x of a softmax, whose x is a score less the row's largest or its log-sum-exp, so at most 0: the
// bits of exp() down to x = -87 (double: -708), 0 below it, where the result would be a subnormal
// number or nearly one. Making one costs the processor some hundred cycles, and every masked score
// would. Right up to x = 88 (double: 709); above, as in lanes beyond a row, it is anything. A NaN
// stays one.
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> exp_or_zero(Pack<A, Set> x) {
  using P = Pack<A, Set>;
  const P lowest(static_cast<A>(sizeof(A) == 4 ? -87.0 : -708.0));
  const auto [power, k] = exp_parts(max(lowest, x));
  return where_less(x, lowest, P(0), power * power_of_two(k));
}

// 1 / (1 + e^-x).
template <class A, class Set>
[[gnu::always_inline]] inline Pack<A, Set> sigmoid(Pack<A, Set> x) {
  using P = Pack<A, Set>;
  return P(1) / (P(1) + exp(P(0) - x));
}

}  // namespace cloze
