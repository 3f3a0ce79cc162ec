// Sums of fixed order.
#include "parallel/kernels/cuda/sums.h"

#include <type_traits>

#include "parallel/base/check.h"
#include "parallel/kernels/cuda/reduce.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;
constexpr std::int64_t kChunk = 65536;  // Elements of one partial sum.

std::int64_t chunks_of(std::int64_t n) { return (n + kChunk - 1) / kChunk; }

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    squares_kernel(const T* x, std::int64_t n, double* sums, std::int64_t chunks) {
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const std::int64_t begin = chunk * kChunk;
    const std::int64_t end = n - begin < kChunk ? n : begin + kChunk;
    double sum = 0.0;
    CLOZE_UNROLL_BY(4)
    for (std::int64_t i = begin + std::int64_t{threadIdx.x} * N; i < end;
         i += std::int64_t{kBlock} * N) {
      const auto values = load<N>(x + i);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        const auto value = static_cast<double>(values.at[j]);
        sum = multiply_add(value, value, sum);
      }
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) sums[chunk] = sum;
  }
}

__global__ void __launch_bounds__(kBlock)
    total_kernel(const double* sums, std::int64_t chunks, double* total) {
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < chunks; i += kBlock) sum += sums[i];
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) *total = sum;
}

template <class T>
struct Parts {
  const T* at[kMaxParts];
};

template <class T, int N, bool kLargest>
__global__ void __launch_bounds__(kBlock)
    parts_kernel(const __grid_constant__ Parts<T> parts, int num_parts, T* out, std::int64_t n) {
  using A = Accumulator<T>;
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock * N;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) * N; i < n; i += step) {
    Values<A, N> total = load<N>(parts.at[0] + i);
    for (int part = 1; part < num_parts; ++part) {
      const Values<A, N> next = load<N>(parts.at[part] + i);
      CLOZE_UNROLL
      for (int j = 0; j < N; ++j) {
        if constexpr (kLargest) {
          // A NaN stays, whichever side it is on.
          const bool keep = total.at[j] > next.at[j] || total.at[j] != total.at[j];
          total.at[j] = keep ? total.at[j] : next.at[j];
        } else {
          total.at[j] += next.at[j];
        }
      }
    }
    store<N>(out + i, total);
  }
}

// Whole numbers; sums wrap.
template <class T, bool kLargest>
__global__ void __launch_bounds__(kBlock)
    counts_kernel(const __grid_constant__ Parts<T> parts, int num_parts, T* out, std::int64_t n) {
  using Unsigned = std::make_unsigned_t<T>;
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < n; i += step) {
    T total = parts.at[0][i];
    for (int part = 1; part < num_parts; ++part) {
      const T next = parts.at[part][i];
      if constexpr (kLargest) {
        total = next > total ? next : total;
      } else {
        total = static_cast<T>(static_cast<Unsigned>(total) + static_cast<Unsigned>(next));
      }
    }
    out[i] = total;
  }
}

void check_parts(int num_parts) {
  CLOZE_CHECK(num_parts >= 1 && num_parts <= kMaxParts,
              str(num_parts, " parts to combine; 1 to ", kMaxParts, " are possible"),
              "combine fewer parts at a time");
}

template <class T, bool kLargest>
void combine_counts(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream) {
  check_parts(num_parts);
  if (n == 0) return;
  Parts<T> pointers{};
  for (int part = 0; part < num_parts; ++part) pointers.at[part] = parts[part];
  CLOZE_LAUNCH((&counts_kernel<T, kLargest>), grid_of((n + kBlock - 1) / kBlock), kBlock, 0, stream,
               pointers, num_parts, out, n);
}

template <class T, bool kLargest>
void combine_parts(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream) {
  check_parts(num_parts);
  if (n == 0) return;
  Parts<T> pointers{};
  bool vectors = vectors_fit<T>(n, {out});
  for (int part = 0; part < num_parts; ++part) {
    pointers.at[part] = parts[part];
    vectors = vectors && vectors_fit<T>(n, {parts[part]});
  }
  with_width<T>(vectors, [&](auto width) {
    constexpr std::int64_t kOfBlock = std::int64_t{kBlock} * width.value;
    CLOZE_LAUNCH((&parts_kernel<T, width.value, kLargest>), grid_of((n + kOfBlock - 1) / kOfBlock),
                 kBlock, 0, stream, pointers, num_parts, out, n);
  });
}

}  // namespace

std::int64_t sum_of_squares_workspace(std::int64_t n) {
  return chunks_of(n) * static_cast<std::int64_t>(sizeof(double));
}

template <class T>
void sum_of_squares(const T* x, std::int64_t n, double* total, void* workspace, Stream stream) {
  auto* const sums = static_cast<double*>(workspace);
  const std::int64_t chunks = chunks_of(n);
  if (n > 0) {
    with_width<T>(vectors_fit<T>(n, {x}), [&](auto width) {
      CLOZE_LAUNCH((&squares_kernel<T, width.value>), grid_of(chunks), kBlock, 0, stream, x, n,
                   sums, chunks);
    });
  }
  CLOZE_LAUNCH(&total_kernel, 1U, kBlock, 0, stream, sums, chunks, total);
}

template <class T>
void ordered_sum(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream) {
  combine_parts<T, false>(parts, num_parts, out, n, stream);
}

template <class T>
void ordered_max(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream) {
  combine_parts<T, true>(parts, num_parts, out, n, stream);
}

template <class T>
void count_sum(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream) {
  combine_counts<T, false>(parts, num_parts, out, n, stream);
}

template <class T>
void count_max(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream) {
  combine_counts<T, true>(parts, num_parts, out, n, stream);
}

#define CLOZE_INSTANTIATE(T)                                               \
  template void count_sum(const T* const*, int, T*, std::int64_t, Stream); \
  template void count_max(const T* const*, int, T*, std::int64_t, Stream)
CLOZE_INSTANTIATE(std::int64_t);
CLOZE_INSTANTIATE(std::int32_t);
CLOZE_INSTANTIATE(std::uint8_t);
#undef CLOZE_INSTANTIATE

#define CLOZE_INSTANTIATE(T)                                                    \
  template void sum_of_squares(const T*, std::int64_t, double*, void*, Stream); \
  template void ordered_sum(const T* const*, int, T*, std::int64_t, Stream);    \
  template void ordered_max(const T* const*, int, T*, std::int64_t, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
