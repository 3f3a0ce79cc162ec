// SwiGLU and GELU. A block has a row at a time; every element is read before it is written by the
// thread that does both, so results may lie on their inputs.
#include "parallel/kernels/cuda/activation.h"

#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;

template <class A>
__device__ inline A sigmoid(A x) {
  return A{1} / (A{1} + exponential(-x));
}

// Null dout: the forward pass.
template <class T>
struct Swiglu {
  const T* dout;
  const T* gate_up;
  T* result;  // out [n, f] or dgate_up [n, 2 f]
  std::int64_t n;
  std::int64_t f;
};

template <class T, int N>
__global__ void __launch_bounds__(kBlock) swiglu_kernel(const Swiglu<T> call) {
  using A = Accumulator<T>;
  const std::int64_t f = call.f;
  for (std::int64_t row = blockIdx.x; row < call.n; row += gridDim.x) {
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < f; i += std::int64_t{blockDim.x} * N) {
      const Values<A, N> gate = load<N>(call.gate_up + row * 2 * f + i);
      const Values<A, N> up = load<N>(call.gate_up + row * 2 * f + f + i);
      Values<A, N> first;
      if (call.dout == nullptr) {
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) {
          first.at[j] = round_to<T>(gate.at[j] * sigmoid(gate.at[j])) * up.at[j];
        }
        store<N>(call.result + row * f + i, first);
        continue;
      }
      const Values<A, N> dout = load<N>(call.dout + row * f + i);
      Values<A, N> second;
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        const A open = sigmoid(gate.at[j]);
        // silu' = sigmoid + gate * sigmoid * (1 - sigmoid).
        const A slope = open * multiply_add(gate.at[j], A{1} - open, A{1});
        first.at[j] = dout.at[j] * up.at[j] * slope;
        second.at[j] = dout.at[j] * round_to<T>(gate.at[j] * open);
      }
      store<N>(call.result + row * 2 * f + i, first);
      store<N>(call.result + row * 2 * f + f + i, second);
    }
  }
}

template <class T>
struct Gelu {
  const T* dout;  // Null: the forward pass.
  const T* x;
  const T* bias;  // May be null.
  T* result;
  std::int64_t n;
  std::int64_t f;
};

template <class T, int N>
__global__ void __launch_bounds__(kBlock) gelu_kernel(const Gelu<T> call) {
  using A = Accumulator<T>;
  constexpr A kSlope = static_cast<A>(1.5957691216057308);             // 2 sqrt(2 / pi)
  constexpr A kCubic = static_cast<A>(0.044715 * 1.5957691216057308);  // The cube's share of 2 u.
  const std::int64_t f = call.f;
  for (std::int64_t row = blockIdx.x; row < call.n; row += gridDim.x) {
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < f; i += std::int64_t{blockDim.x} * N) {
      Values<A, N> h = load<N>(call.x + row * f + i);
      if (call.bias != nullptr) {
        const Values<A, N> bias = load<N>(call.bias + i);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) h.at[j] = round_to<T>(h.at[j] + bias.at[j]);
      }
      Values<A, N> dout = {};
      if (call.dout != nullptr) dout = load<N>(call.dout + row * f + i);
      Values<A, N> result;
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        // Beyond +-64 the sigmoid is 0 or 1, and the cube must not overflow. A NaN stays one.
        const A bounded = h.at[j] > A{64} ? A{64} : h.at[j] < A{-64} ? A{-64} : h.at[j];
        const A square = bounded * bounded;
        const A open = sigmoid(bounded * multiply_add(square, kCubic, kSlope));
        const A inner = multiply_add(square, A{3} * kCubic, kSlope);
        const A derivative = multiply_add(bounded * open * (A{1} - open), inner, open);
        result.at[j] = call.dout == nullptr ? h.at[j] * open : dout.at[j] * derivative;
      }
      store<N>(call.result + row * f + i, result);
    }
  }
}

template <class T>
void swiglu(const Swiglu<T>& call, Stream stream) {
  if (call.n == 0 || call.f == 0) return;
  with_width<T>(vectors_fit<T>(call.f, {call.dout, call.gate_up, call.result}), [&](auto width) {
    CLOZE_LAUNCH((&swiglu_kernel<T, width.value>), grid_of(call.n),
                 threads_of(call.f / width.value, kBlock), 0, stream, call);
  });
}

template <class T>
void gelu(const Gelu<T>& call, Stream stream) {
  if (call.n == 0 || call.f == 0) return;
  const bool vectors = vectors_fit<T>(call.f, {call.dout, call.x, call.bias, call.result});
  with_width<T>(vectors, [&](auto width) {
    CLOZE_LAUNCH((&gelu_kernel<T, width.value>), grid_of(call.n),
                 threads_of(call.f / width.value, kBlock), 0, stream, call);
  });
}

}  // namespace

template <class T>
void swiglu_forward(const T* gate_up, T* out, std::int64_t n, std::int64_t f, Stream stream) {
  swiglu<T>({nullptr, gate_up, out, n, f}, stream);
}

template <class T>
void swiglu_backward(const T* dout, const T* gate_up, T* dgate_up, std::int64_t n, std::int64_t f,
                     Stream stream) {
  swiglu<T>({dout, gate_up, dgate_up, n, f}, stream);
}

template <class T>
void gelu_forward(const T* x, const T* bias, T* out, std::int64_t n, std::int64_t f,
                  Stream stream) {
  gelu<T>({nullptr, x, bias, out, n, f}, stream);
}

template <class T>
void gelu_backward(const T* dout, const T* x, const T* bias, T* dx, std::int64_t n, std::int64_t f,
                   Stream stream) {
  gelu<T>({dout, x, bias, dx, n, f}, stream);
}

#define CLOZE_INSTANTIATE(T)                                                                 \
  template void swiglu_forward(const T*, T*, std::int64_t, std::int64_t, Stream);            \
  template void swiglu_backward(const T*, const T*, T*, std::int64_t, std::int64_t, Stream); \
  template void gelu_forward(const T*, const T*, T*, std::int64_t, std::int64_t, Stream);    \
  template void gelu_backward(const T*, const T*, const T*, T*, std::int64_t, std::int64_t, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
