// The gradient without atomics: tokens are sorted by row, then by place; the block of a row's first
// token adds all its tokens in order.
#include "parallel/kernels/cuda/embedding.h"

#include "parallel/kernels/cuda/element.h"
#include "parallel/kernels/cuda/sort.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 128;
constexpr std::uint64_t kNoRow = ~std::uint64_t{0};  // Of tokens of other shards, and of the fill.
constexpr int kAhead = 4;  // Tokens that are read before the first of them is added.

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    embedding_kernel(const T* table, std::int64_t first_id, std::int64_t rows,
                     const std::int32_t* ids, T* out, std::int64_t n, std::int64_t hidden,
                     bool accumulate) {
  using A = Accumulator<T>;
  for (std::int64_t token = blockIdx.x; token < n; token += gridDim.x) {
    const std::int64_t row = ids[token] - first_id;
    const bool here = row >= 0 && row < rows;
    if (!here && accumulate) continue;
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < hidden;
         i += std::int64_t{blockDim.x} * N) {
      Values<A, N> values = {};
      if (here) values = load<N>(table + row * hidden + i);
      if (accumulate) {
        const Values<A, N> before = load<N>(out + token * hidden + i);
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) values.at[j] = before.at[j] + values.at[j];
      }
      store<N>(out + token * hidden + i, values);
    }
  }
}

// keys [size]: the row above, the token below.
__global__ void __launch_bounds__(kBlock)
    key_kernel(const std::int32_t* ids, std::int64_t first_id, std::int64_t rows, std::int64_t n,
               std::uint64_t* keys, std::int64_t size) {
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < size; i += step) {
    const std::int64_t row = i < n ? ids[i] - first_id : -1;
    const bool here = row >= 0 && row < rows;
    keys[i] = here ? static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(i) : kNoRow;
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    embedding_gradient_kernel(const T* dout, const std::uint64_t* keys, Accumulator<T>* dtable,
                              std::int64_t n, std::int64_t hidden) {
  using A = Accumulator<T>;
  const std::int64_t i = (std::int64_t{blockIdx.y} * kBlock + threadIdx.x) * N;
  if (i >= hidden) return;
  for (std::int64_t place = blockIdx.x; place < n; place += gridDim.x) {
    const std::uint64_t key = keys[place];
    const std::uint64_t row = key >> 32;
    if (key == kNoRow) return;  // And so are all behind it.
    if (place > 0 && keys[place - 1] >> 32 == row) continue;
    A* const to = dtable + static_cast<std::int64_t>(row) * hidden + i;
    Values<A, N> sum = load<N>(to);
    std::int64_t next = place;
    bool more = true;
    while (more) {
      Values<A, N> values[kAhead];
      bool valid[kAhead];
      CLOZE_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        const std::uint64_t of = next + k < n ? keys[next + k] : kNoRow;
        more = more && of != kNoRow && of >> 32 == row;
        valid[k] = more;
        if (more) {
          values[k] = load<N>(dout + static_cast<std::int64_t>(of & 0xffffffffU) * hidden + i);
        }
      }
      CLOZE_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        if (!valid[k]) continue;
        CLOZE_UNROLL
        for (int j = 0; j < N; ++j) sum.at[j] += values[k].at[j];
      }
      next += kAhead;
    }
    store<N>(to, sum);
  }
}

}  // namespace

template <class T>
void embedding_forward(const T* table, std::int64_t first_id, std::int64_t rows,
                       const std::int32_t* ids, T* out, std::int64_t n, std::int64_t hidden,
                       bool accumulate, Stream stream) {
  if (n == 0 || hidden == 0) return;
  with_width<T>(vectors_fit<T>(hidden, {table, out}), [&](auto width) {
    CLOZE_LAUNCH((&embedding_kernel<T, width.value>), grid_of(n),
                 threads_of(hidden / width.value, kBlock), 0, stream, table, first_id, rows, ids,
                 out, n, hidden, accumulate);
  });
}

std::int64_t embedding_backward_workspace(std::int64_t n) {
  return sorted_size(n) * static_cast<std::int64_t>(sizeof(std::uint64_t));
}

template <class T>
void embedding_backward(const T* dout, const std::int32_t* ids, std::int64_t first_id,
                        std::int64_t rows, Accumulator<T>* dtable, std::int64_t n,
                        std::int64_t hidden, void* workspace, Stream stream) {
  if (n == 0 || hidden == 0) return;
  auto* const keys = static_cast<std::uint64_t*>(workspace);
  const std::int64_t size = sorted_size(n);
  CLOZE_LAUNCH(&key_kernel, grid_of(size / kBlock), kBlock, 0, stream, ids, first_id, rows, n, keys,
               size);
  sort_keys(keys, size, stream);
  with_width<T>(vectors_fit<T>(hidden, {dout, dtable}), [&](auto width) {
    const std::int64_t accesses = hidden / width.value;
    const dim3 grid(grid_of(n), static_cast<unsigned>((accesses + kBlock - 1) / kBlock));
    CLOZE_LAUNCH((&embedding_gradient_kernel<T, width.value>), grid, kBlock, 0, stream, dout, keys,
                 dtable, n, hidden);
  });
}

#define CLOZE_INSTANTIATE(T)                                                                     \
  template void embedding_forward(const T*, std::int64_t, std::int64_t, const std::int32_t*, T*, \
                                  std::int64_t, std::int64_t, bool, Stream);                     \
  template void embedding_backward(const T*, const std::int32_t*, std::int64_t, std::int64_t,    \
                                   Accumulator<T>*, std::int64_t, std::int64_t, void*, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
