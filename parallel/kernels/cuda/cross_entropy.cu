// A block has a row at a time.
#include "parallel/kernels/cuda/cross_entropy.h"

#include "parallel/kernels/cuda/reduce.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 512;

template <class T>
struct Logits {
  using A = Accumulator<T>;
  T* data;  // Written by the gradient alone.
  std::int64_t ld;
  std::int64_t n;
  std::int64_t vocab;
  std::int64_t first_id;
  const std::int32_t* targets;
  const A* max;
};

// Calls body(column, width) on this thread's columns of a row: N at a time, the last vocab % N
// one by one.
template <int N, class Body>
__device__ inline void for_columns(std::int64_t vocab, const Body& body) {
  const std::int64_t whole = vocab / N * N;
  CLOZE_UNROLL_BY(4)
  for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < whole;
       i += std::int64_t{blockDim.x} * N) {
    body(i, std::integral_constant<int, N>{});
  }
  if (whole + threadIdx.x < vocab) body(whole + threadIdx.x, std::integral_constant<int, 1>{});
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    row_max_kernel(const Logits<T> logits, Accumulator<T>* max) {
  using A = Accumulator<T>;
  for (std::int64_t row = blockIdx.x; row < logits.n; row += gridDim.x) {
    const T* const from = logits.data + row * logits.ld;
    A largest = -static_cast<A>(INFINITY);
    for_columns<N>(logits.vocab, [&](std::int64_t i, auto width) {
      const auto values = load<width.value>(from + i);
      CLOZE_UNROLL
      for (int j = 0; j < width.value; ++j) largest = Larger{}(largest, values.at[j]);
    });
    largest = combine_block(largest, -static_cast<A>(INFINITY), Larger{});
    if (threadIdx.x == 0) max[row] = largest;
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    row_sums_kernel(const Logits<T> logits, Accumulator<T>* sums, Accumulator<T>* target_logit) {
  using A = Accumulator<T>;
  for (std::int64_t row = blockIdx.x; row < logits.n; row += gridDim.x) {
    const T* const from = logits.data + row * logits.ld;
    const A largest = logits.max[row];
    A sum = 0;
    for_columns<N>(logits.vocab, [&](std::int64_t i, auto width) {
      const auto values = load<width.value>(from + i);
      CLOZE_UNROLL
      for (int j = 0; j < width.value; ++j) sum += exponential(values.at[j] - largest);
    });
    sum = sum_of_block(sum);
    if (threadIdx.x != 0) continue;
    sums[row] = sum;
    const std::int64_t target = logits.targets[row] - logits.first_id;
    const bool here = target >= 0 && target < logits.vocab;
    target_logit[row] = here ? static_cast<A>(from[target]) - largest : A{0};
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    softmax_gradient_kernel(const Logits<T> logits, const Accumulator<T>* sums,
                            const Accumulator<T>* weights) {
  using A = Accumulator<T>;
  for (std::int64_t row = blockIdx.x; row < logits.n; row += gridDim.x) {
    T* const at_row = logits.data + row * logits.ld;
    const A weight = weights[row];
    const A largest = logits.max[row];
    const A factor = weight / sums[row];
    const std::int64_t target = logits.targets[row] - logits.first_id;
    for_columns<N>(logits.vocab, [&](std::int64_t i, auto width) {
      Values<A, width.value> values = {};
      if (weight != 0) {
        values = load<width.value>(at_row + i);
        CLOZE_UNROLL
        for (int j = 0; j < width.value; ++j) {
          values.at[j] = exponential(values.at[j] - largest) * factor;
          if (i + j == target) values.at[j] -= weight;
        }
      }
      store<width.value>(at_row + i, values);
    });
  }
}

// Calls launch(width) for rows that may be read N at a time, or not.
template <class T, class Launch>
void with_logits(const Logits<T>& logits, const Launch& launch) {
  if (logits.n == 0) return;
  with_width<T>(vectors_fit<T>(logits.ld, {logits.data}), launch);
}

}  // namespace

template <class T>
void row_max(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
             Accumulator<T>* max, Stream stream) {
  const Logits<T> call{const_cast<T*>(logits), ld, n, vocab, 0, nullptr, nullptr};
  with_logits(call, [&](auto width) {
    CLOZE_LAUNCH((&row_max_kernel<T, width.value>), grid_of(n),
                 threads_of(vocab / width.value, kBlock), 0, stream, call, max);
  });
}

template <class T>
void row_sums(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
              std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
              Accumulator<T>* sum, Accumulator<T>* target_logit, Stream stream) {
  const Logits<T> call{const_cast<T*>(logits), ld, n, vocab, first_id, targets, max};
  with_logits(call, [&](auto width) {
    CLOZE_LAUNCH((&row_sums_kernel<T, width.value>), grid_of(n),
                 threads_of(vocab / width.value, kBlock), 0, stream, call, sum, target_logit);
  });
}

template <class T>
void softmax_gradient(T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
                      std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
                      const Accumulator<T>* sum, const Accumulator<T>* weight, Stream stream) {
  if (vocab == 0) return;
  const Logits<T> call{logits, ld, n, vocab, first_id, targets, max};
  with_logits(call, [&](auto width) {
    CLOZE_LAUNCH((&softmax_gradient_kernel<T, width.value>), grid_of(n),
                 threads_of(vocab / width.value, kBlock), 0, stream, call, sum, weight);
  });
}

#define CLOZE_INSTANTIATE(T)                                                                 \
  template void row_max(const T*, std::int64_t, std::int64_t, std::int64_t, Accumulator<T>*, \
                        Stream);                                                             \
  template void row_sums(const T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,   \
                         const std::int32_t*, const Accumulator<T>*, Accumulator<T>*,        \
                         Accumulator<T>*, Stream);                                           \
  template void softmax_gradient(T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, \
                                 const std::int32_t*, const Accumulator<T>*,                 \
                                 const Accumulator<T>*, const Accumulator<T>*, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
