// The bias's gradient: a block sums a tile of columns over a part of the rows, warp by warp; the
// parts are added up afterwards.
#include "parallel/kernels/cuda/bias.h"

#include "parallel/kernels/cuda/column_sums.h"
#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;
constexpr int kWarps = kBlock / 32;
constexpr std::int64_t kRows = 128;   // Of a part, at least.
constexpr std::int64_t kParts = 128;  // At most.

std::int64_t parts_of(std::int64_t n) {
  const std::int64_t parts = (n + kRows - 1) / kRows;
  return parts < kParts ? parts : kParts;
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    add_bias_kernel(T* x, const T* bias, std::int64_t n, std::int64_t f) {
  using A = Accumulator<T>;
  for (std::int64_t row = blockIdx.x; row < n; row += gridDim.x) {
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < f; i += std::int64_t{blockDim.x} * N) {
      Values<A, N> values = load<N>(x + row * f + i);
      const Values<A, N> added = load<N>(bias + i);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) values.at[j] += added.at[j];
      store<N>(x + row * f + i, values);
    }
  }
}

// parts [gridDim.y, f]
template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    bias_gradient_kernel(const T* dy, Accumulator<T>* parts, std::int64_t n, std::int64_t f) {
  using A = Accumulator<T>;
  constexpr int kColumns = 32 * N;
  CLOZE_SHARED_ARRAY(A, sums, kWarps * kColumns);
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  const std::int64_t tile = std::int64_t{blockIdx.x} * kColumns;
  const std::int64_t column = tile + lane * N;
  const std::int64_t first = n * blockIdx.y / gridDim.y;
  const std::int64_t last = n * (blockIdx.y + 1) / gridDim.y;
  Values<A, N> sum = {};
  if (column < f) {
    CLOZE_UNROLL_BY(4)
    for (std::int64_t row = first + warp; row < last; row += kWarps) {
      const Values<A, N> values = load<N>(dy + row * f + column);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) sum.at[j] += values.at[j];
    }
  }
  CLOZE_UNROLL
  for (int j = 0; j < N; ++j) sums[warp * kColumns + j * 32 + lane] = sum.at[j];
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kColumns; i += kBlock) {
    const std::int64_t to = tile + i;
    if (to >= f) continue;
    A total = 0;
    for (int w = 0; w < kWarps; ++w) total += sums[w * kColumns + i % N * 32 + i / N];
    parts[blockIdx.y * f + to] = total;
  }
}

}  // namespace

template <class T>
void add_bias(T* x, const T* bias, std::int64_t n, std::int64_t f, Stream stream) {
  if (n == 0 || f == 0) return;
  with_width<T>(vectors_fit<T>(f, {x, bias}), [&](auto width) {
    CLOZE_LAUNCH((&add_bias_kernel<T, width.value>), grid_of(n),
                 threads_of(f / width.value, kBlock), 0, stream, x, bias, n, f);
  });
}

template <class T>
std::int64_t bias_gradient_workspace(std::int64_t n, std::int64_t f) {
  return parts_of(n) * f * static_cast<std::int64_t>(sizeof(Accumulator<T>));
}

template <class T>
void bias_gradient(const T* dy, Accumulator<T>* dbias, std::int64_t n, std::int64_t f,
                   void* workspace, Stream stream) {
  if (n == 0 || f == 0) return;
  const std::int64_t num_parts = parts_of(n);
  auto* const parts = static_cast<Accumulator<T>*>(workspace);
  with_width<T>(vectors_fit<T>(f, {dy}), [&](auto width) {
    constexpr std::int64_t kColumns = 32 * width.value;
    const dim3 grid(whole_grid((f + kColumns - 1) / kColumns), static_cast<unsigned>(num_parts));
    CLOZE_LAUNCH((&bias_gradient_kernel<T, width.value>), grid, kBlock, 0, stream, dy, parts, n, f);
  });
  add_column_sums(parts, num_parts, f, dbias, stream);
}

#define CLOZE_INSTANTIATE(T)                                                    \
  template void add_bias(T*, const T*, std::int64_t, std::int64_t, Stream);     \
  template std::int64_t bias_gradient_workspace<T>(std::int64_t, std::int64_t); \
  template void bias_gradient(const T*, Accumulator<T>*, std::int64_t, std::int64_t, void*, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
