// SwiGLU and GELU. The tanh of GELU is computed as a sigmoid: 0.5 (1 + tanh u) = sigmoid(2 u),
// one exp and no cancellation.
#include "parallel/kernels/activation.h"

#include "parallel/kernels/elementary.h"

namespace cloze {

template <class T>
struct Swiglu {
  const T* dout;  // Null in the forward pass.
  const T* gate_up;
  T* result;  // out [n, f] or dgate_up [n, 2 f]
  std::int64_t f;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void Swiglu<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<Accumulator<T>, Set>;
  for (std::int64_t row = first; row < last; ++row) {
    const T* gates = gate_up + row * 2 * f;
    for_each_pack<P>(f, [&](std::int64_t i, auto at) {
      const P gate = load<P>(gates + i, at);
      const P up = load<P>(gates + f + i, at);
      const P open = sigmoid(gate);
      const P silu = round_to<T>(gate * open);
      if (dout == nullptr) {
        store(result + row * f + i, silu * up, at);
        return;
      }
      const P gradient = load<P>(dout + row * f + i, at);
      // silu' = sigmoid + gate * sigmoid * (1 - sigmoid).
      const P slope = open * fma(gate, P(1) - open, P(1));
      store(result + row * 2 * f + i, gradient * up * slope, at);
      store(result + row * 2 * f + f + i, gradient * silu, at);
    });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(Swiglu);

template <class T>
struct Gelu {
  const T* dout;  // Null in the forward pass.
  const T* x;
  const T* bias;  // May be null.
  T* result;
  std::int64_t f;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void Gelu<T>::run(std::int64_t first, std::int64_t last) const {
  using A = Accumulator<T>;
  using P = Pack<A, Set>;
  const P slope(static_cast<A>(1.5957691216057308));             // 2 sqrt(2 / pi)
  const P cubic(static_cast<A>(0.044715 * 1.5957691216057308));  // The cube's share of 2 u.
  for (std::int64_t row = first; row < last; ++row) {
    for_each_pack<P>(f, [&](std::int64_t i, auto at) {
      const std::int64_t j = row * f + i;
      P h = load<P>(x + j, at);
      if (bias != nullptr) h = round_to<T>(h + load<P>(bias + i, at));
      // Beyond +-64 the sigmoid is 0 or 1, and the cube must not overflow.
      const P bounded = max(P(-64), min(P(64), h));
      const P square = bounded * bounded;
      const P open = sigmoid(bounded * fma(square, cubic, slope));
      if (dout == nullptr) {
        store(result + j, h * open, at);
        return;
      }
      const P inner = fma(square, P(3) * cubic, slope);
      const P derivative = fma(bounded * open * (P(1) - open), inner, open);
      store(result + j, load<P>(dout + j, at) * derivative, at);
    });
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(Gelu);

#ifndef CLOZE_KERNEL_AVX512

template <class T>
void swiglu_forward(const T* gate_up, T* out, std::int64_t n, std::int64_t f) {
  run_parallel(Swiglu<T>{nullptr, gate_up, out, f}, n, grain_of(f * sizeof(T)));
}

template <class T>
void swiglu_backward(const T* dout, const T* gate_up, T* dgate_up, std::int64_t n, std::int64_t f) {
  run_parallel(Swiglu<T>{dout, gate_up, dgate_up, f}, n, grain_of(f * sizeof(T)));
}

template <class T>
void gelu_forward(const T* x, const T* bias, T* out, std::int64_t n, std::int64_t f) {
  run_parallel(Gelu<T>{nullptr, x, bias, out, f}, n, grain_of(f * sizeof(T)));
}

template <class T>
void gelu_backward(const T* dout, const T* x, const T* bias, T* dx, std::int64_t n,
                   std::int64_t f) {
  run_parallel(Gelu<T>{dout, x, bias, dx, f}, n, grain_of(f * sizeof(T)));
}

#define CLOZE_INSTANTIATE(T)                                                         \
  template void swiglu_forward(const T*, T*, std::int64_t, std::int64_t);            \
  template void swiglu_backward(const T*, const T*, T*, std::int64_t, std::int64_t); \
  template void gelu_forward(const T*, const T*, T*, std::int64_t, std::int64_t);    \
  template void gelu_backward(const T*, const T*, const T*, T*, std::int64_t, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
