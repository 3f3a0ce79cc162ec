// A block has 32 columns; each of its warps takes every eighth part.
#include "parallel/kernels/cuda/column_sums.h"

#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr int kColumns = 32;
constexpr int kGroups = 8;

template <class A>
__global__ void __launch_bounds__(kColumns* kGroups)
    column_sums_kernel(const A* parts, std::int64_t num_parts, std::int64_t columns, A* total) {
  CLOZE_SHARED_ARRAY(A, sums, kColumns * kGroups);
  const unsigned group = threadIdx.x / kColumns;
  const std::int64_t column = std::int64_t{blockIdx.x} * kColumns + threadIdx.x % kColumns;
  A sum = 0;
  if (column < columns) {
    for (std::int64_t part = group; part < num_parts; part += kGroups) {
      sum += parts[part * columns + column];
    }
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (group != 0 || column >= columns) return;
  A all = 0;
  for (int i = 0; i < kGroups; ++i) all += sums[i * kColumns + threadIdx.x];
  total[column] += all;
}

}  // namespace

template <class A>
void add_column_sums(const A* parts, std::int64_t num_parts, std::int64_t columns, A* total,
                     Stream stream) {
  if (columns == 0) return;
  CLOZE_LAUNCH(&column_sums_kernel<A>, whole_grid((columns + kColumns - 1) / kColumns),
               kColumns * kGroups, 0, stream, parts, num_parts, columns, total);
}

template void add_column_sums(const double*, std::int64_t, std::int64_t, double*, Stream);
template void add_column_sums(const float*, std::int64_t, std::int64_t, float*, Stream);

}  // namespace cloze::cuda
