// A block has a row at a time. The first kKept accesses of each thread stay in registers between
// the passes over a row; wider rows are read again from where they lie.
#include "parallel/kernels/cuda/norm.h"

#include "parallel/kernels/cuda/column_sums.h"
#include "parallel/kernels/cuda/reduce.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kLargestBlock = 512;
constexpr int kKept = 2;
// Rows are cut into this many parts at most, each with sums of its own for the weights'
// gradients; a constant, so that the bits do not depend on the GPU.
constexpr std::int64_t kParts = 256;

std::int64_t parts_of(std::int64_t n) { return n < kParts ? n : kParts; }

template <int N>
unsigned block_of(std::int64_t hidden) {
  return threads_of((hidden + kKept * N - 1) / (kKept * N), kLargestBlock);
}

// Null mean and bias: RMSNorm.
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
  std::int64_t n;
  std::int64_t hidden;
  A eps;
};

template <class T, int N>
__global__ void __launch_bounds__(kLargestBlock) norm_forward_kernel(const NormForward<T> call) {
  using A = Accumulator<T>;
  const std::int64_t hidden = call.hidden;
  const std::int64_t step = std::int64_t{blockDim.x} * N;
  const std::int64_t begin = std::int64_t{threadIdx.x} * N;
  for (std::int64_t row = blockIdx.x; row < call.n; row += gridDim.x) {
    const T* input = call.x + row * hidden;
    const auto read = [&](std::int64_t i) {
      Values<A, N> values = load<N>(input + i);
      if (call.delta == nullptr) return values;
      const Values<A, N> added = load<N>(call.delta + row * hidden + i);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) values.at[j] = round_to<T>(values.at[j] + added.at[j]);
      store<N>(call.sum_out + row * hidden + i, values);
      return values;
    };
    Values<A, N> kept[kKept] = {};
    CLOZE_UNROLL
    for (int k = 0; k < kKept; ++k) {
      if (begin + k * step < hidden) kept[k] = read(begin + k * step);
    }
    if (call.delta != nullptr) {
      for (std::int64_t i = begin + kKept * step; i < hidden; i += step) read(i);
      input = call.sum_out + row * hidden;  // This thread's elements, which it has written.
    }
    const auto each = [&](auto body) {
      CLOZE_UNROLL
      for (int k = 0; k < kKept; ++k) {
        if (begin + k * step < hidden) body(begin + k * step, kept[k]);
      }
      for (std::int64_t i = begin + kKept * step; i < hidden; i += step) {
        const Values<A, N> values = load<N>(input + i);
        body(i, values);
      }
    };
    A center = 0;
    if (call.mean != nullptr) {
      A sum = 0;
      each([&](std::int64_t, const Values<A, N>& values) {
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) sum += values.at[j];
      });
      center = sum_of_block(sum) / static_cast<A>(hidden);
      if (threadIdx.x == 0) call.mean[row] = center;
    }
    A squares = 0;
    each([&](std::int64_t, const Values<A, N>& values) {
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        const A value = values.at[j] - center;
        squares = multiply_add(value, value, squares);
      }
    });
    const A variance = sum_of_block(squares) / static_cast<A>(hidden);
    const A scale = A{1} / square_root(variance + call.eps);
    if (threadIdx.x == 0) call.rstd[row] = scale;
    each([&](std::int64_t i, const Values<A, N>& values) {
      const Values<A, N> weight = load<N>(call.weight + i);
      Values<A, N> result;
      if (call.bias != nullptr) {
        const Values<A, N> bias = load<N>(call.bias + i);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) {
          result.at[j] = multiply_add((values.at[j] - center) * scale, weight.at[j], bias.at[j]);
        }
      } else {
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) {
          result.at[j] = round_to<T>((values.at[j] - center) * scale) * weight.at[j];
        }
      }
      store<N>(call.y + row * hidden + i, result);
    });
  }
}

// Null mean and dbias: RMSNorm.
template <class T>
struct NormBackward {
  using A = Accumulator<T>;
  const T* dy;
  const T* x;
  const T* weight;
  const A* mean;
  const A* rstd;
  const T* dresidual;
  T* dx;
  A* dweight_parts;  // [parts, hidden]
  A* dbias_parts;    // The same; not used by RMSNorm.
  std::int64_t n;
  std::int64_t hidden;
};

// A thread owns its columns of all rows of the part: those of its kept accesses are summed in
// registers, others in the part's row of the workspace.
template <class T, int N, bool kCentered>
__global__ void __launch_bounds__(kLargestBlock) norm_backward_kernel(const NormBackward<T> call) {
  using A = Accumulator<T>;
  using V = Values<A, N>;
  const std::int64_t hidden = call.hidden;
  const std::int64_t step = std::int64_t{blockDim.x} * N;
  const std::int64_t begin = std::int64_t{threadIdx.x} * N;
  const std::int64_t first = call.n * blockIdx.x / gridDim.x;
  const std::int64_t last = call.n * (blockIdx.x + 1) / gridDim.x;
  const A count = static_cast<A>(hidden);
  V dweight[kKept] = {};
  V dbias[kCentered ? kKept : 1] = {};
  for (std::int64_t row = first; row < last; ++row) {
    const T* row_dy = call.dy + row * hidden;
    const T* row_x = call.x + row * hidden;
    const A center = kCentered ? call.mean[row] : A{0};
    const A scale = call.rstd[row];
    V kept_dy[kKept] = {};
    V kept_unit[kKept] = {};
    const auto unit_of = [&](std::int64_t i) {
      V values = load<N>(row_x + i);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) values.at[j] = (values.at[j] - center) * scale;
      return values;
    };
    A along = 0;
    A average = 0;
    const auto add_products = [&](std::int64_t i, const V& dy, const V& unit) {
      const V weight = load<N>(call.weight + i);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        const A g = dy.at[j] * weight.at[j];
        along = multiply_add(g, unit.at[j], along);
        average += g;
      }
    };
    CLOZE_UNROLL
    for (int k = 0; k < kKept; ++k) {
      const std::int64_t i = begin + k * step;
      if (i >= hidden) continue;
      kept_dy[k] = load<N>(row_dy + i);
      kept_unit[k] = unit_of(i);
      add_products(i, kept_dy[k], kept_unit[k]);
    }
    for (std::int64_t i = begin + kKept * step; i < hidden; i += step) {
      add_products(i, load<N>(row_dy + i), unit_of(i));
    }
    along = sum_of_block(along) / count;
    if constexpr (kCentered) average = sum_of_block(average) / count;

    // dx = rstd * (g - mean(g) - unit * mean(g * unit)), g = dy * weight; RMSNorm has no mean(g).
    const auto finish = [&](std::int64_t i, const V& dy, const V& unit, V& sum_weight,
                            V& sum_bias) {
      const V weight = load<N>(call.weight + i);
      V result;
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        const A g = dy.at[j] * weight.at[j] - (kCentered ? average : A{0});
        result.at[j] = (g - unit.at[j] * along) * scale;
        const A factor = kCentered ? unit.at[j] : round_to<T>(unit.at[j]);
        sum_weight.at[j] = multiply_add(dy.at[j], factor, sum_weight.at[j]);
        if constexpr (kCentered) sum_bias.at[j] += dy.at[j];
      }
      if (call.dresidual != nullptr) {
        const V residual = load<N>(call.dresidual + row * hidden + i);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) result.at[j] = round_to<T>(result.at[j]) + residual.at[j];
      }
      store<N>(call.dx + row * hidden + i, result);
    };
    CLOZE_UNROLL
    for (int k = 0; k < kKept; ++k) {
      const std::int64_t i = begin + k * step;
      if (i < hidden) finish(i, kept_dy[k], kept_unit[k], dweight[k], dbias[kCentered ? k : 0]);
    }
    for (std::int64_t i = begin + kKept * step; i < hidden; i += step) {
      A* of_weight = call.dweight_parts + blockIdx.x * hidden + i;
      A* of_bias = call.dbias_parts + blockIdx.x * hidden + i;
      V sum_weight = {};
      V sum_bias = {};
      if (row != first) {
        sum_weight = load<N>(of_weight);
        if constexpr (kCentered) sum_bias = load<N>(of_bias);
      }
      finish(i, load<N>(row_dy + i), unit_of(i), sum_weight, sum_bias);
      store<N>(of_weight, sum_weight);
      if constexpr (kCentered) store<N>(of_bias, sum_bias);
    }
  }
  CLOZE_UNROLL
  for (int k = 0; k < kKept; ++k) {
    const std::int64_t i = begin + k * step;
    if (i >= hidden) continue;
    store<N>(call.dweight_parts + blockIdx.x * hidden + i, dweight[k]);
    if constexpr (kCentered) store<N>(call.dbias_parts + blockIdx.x * hidden + i, dbias[k]);
  }
}

template <class T>
void norm_forward(const NormForward<T>& call, Stream stream) {
  if (call.n == 0) return;
  const bool vectors = vectors_fit<T>(
      call.hidden, {call.x, call.delta, call.sum_out, call.weight, call.bias, call.y});
  with_width<T>(vectors, [&](auto width) {
    CLOZE_LAUNCH((&norm_forward_kernel<T, width.value>), grid_of(call.n),
                 block_of<width.value>(call.hidden), 0, stream, call);
  });
}

template <class T>
void norm_backward(NormBackward<T> call, Accumulator<T>* dweight, Accumulator<T>* dbias,
                   void* workspace, Stream stream) {
  if (call.n == 0) return;
  const std::int64_t parts = parts_of(call.n);
  call.dweight_parts = static_cast<Accumulator<T>*>(workspace);
  call.dbias_parts = call.dweight_parts + parts * call.hidden;
  const bool vectors = vectors_fit<T>(
      call.hidden, {call.dy, call.x, call.weight, call.dresidual, call.dx, workspace});
  with_width<T>(vectors, [&](auto width) {
    auto* const kernel = call.mean != nullptr ? &norm_backward_kernel<T, width.value, true>
                                              : &norm_backward_kernel<T, width.value, false>;
    CLOZE_LAUNCH(kernel, static_cast<unsigned>(parts), block_of<width.value>(call.hidden), 0,
                 stream, call);
  });
  add_column_sums(call.dweight_parts, parts, call.hidden, dweight, stream);
  if (dbias != nullptr) add_column_sums(call.dbias_parts, parts, call.hidden, dbias, stream);
}

}  // namespace

template <class T>
void rms_norm_forward(const T* x, const T* weight, T* y, Accumulator<T>* rstd, std::int64_t n,
                      std::int64_t hidden, double eps, const T* delta, T* sum_out, Stream stream) {
  norm_forward<T>({x, delta, sum_out, weight, nullptr, y, nullptr, rstd, n, hidden,
                   static_cast<Accumulator<T>>(eps)},
                  stream);
}

template <class T>
void layer_norm_forward(const T* x, const T* weight, const T* bias, T* y, Accumulator<T>* mean,
                        Accumulator<T>* rstd, std::int64_t n, std::int64_t hidden, double eps,
                        const T* delta, T* sum_out, Stream stream) {
  norm_forward<T>(
      {x, delta, sum_out, weight, bias, y, mean, rstd, n, hidden, static_cast<Accumulator<T>>(eps)},
      stream);
}

template <class T>
std::int64_t norm_backward_workspace(std::int64_t n, std::int64_t hidden) {
  return 2 * parts_of(n) * hidden * static_cast<std::int64_t>(sizeof(Accumulator<T>));
}

template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* rstd, T* dx,
                       Accumulator<T>* dweight, std::int64_t n, std::int64_t hidden,
                       const T* dresidual, void* workspace, Stream stream) {
  norm_backward<T>({dy, x, weight, nullptr, rstd, dresidual, dx, nullptr, nullptr, n, hidden},
                   dweight, nullptr, workspace, stream);
}

template <class T>
void layer_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* mean,
                         const Accumulator<T>* rstd, T* dx, Accumulator<T>* dweight,
                         Accumulator<T>* dbias, std::int64_t n, std::int64_t hidden,
                         const T* dresidual, void* workspace, Stream stream) {
  norm_backward<T>({dy, x, weight, mean, rstd, dresidual, dx, nullptr, nullptr, n, hidden}, dweight,
                   dbias, workspace, stream);
}

#define CLOZE_INSTANTIATE(T)                                                                      \
  template void rms_norm_forward(const T*, const T*, T*, Accumulator<T>*, std::int64_t,           \
                                 std::int64_t, double, const T*, T*, Stream);                     \
  template void rms_norm_backward(const T*, const T*, const T*, const Accumulator<T>*, T*,        \
                                  Accumulator<T>*, std::int64_t, std::int64_t, const T*, void*,   \
                                  Stream);                                                        \
  template void layer_norm_forward(const T*, const T*, const T*, T*, Accumulator<T>*,             \
                                   Accumulator<T>*, std::int64_t, std::int64_t, double, const T*, \
                                   T*, Stream);                                                   \
  template void layer_norm_backward(const T*, const T*, const T*, const Accumulator<T>*,          \
                                    const Accumulator<T>*, T*, Accumulator<T>*, Accumulator<T>*,  \
                                    std::int64_t, std::int64_t, const T*, void*, Stream);         \
  template std::int64_t norm_backward_workspace<T>(std::int64_t, std::int64_t)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
