// Bitonic sort (Batcher, "Sorting networks and their applications"): runs of `run` keys are
// merged into ones twice as long by comparing keys `stride` apart, for halving strides. Strides
// within a tile are done in shared memory, all in one launch.
#include "parallel/kernels/cuda/sort.h"

#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kBlock = 256;
constexpr std::int64_t kTile = 2048;  // Keys of a block: 16 KiB.

// The lower of the two places of pair number `pair`; strides are powers of two.
__device__ inline std::int64_t place_of(std::int64_t pair, std::int64_t stride) {
  return 2 * pair - (pair & (stride - 1));
}

// Runs of 2 `run` keys rise and fall in turn, so that each pair of them is bitonic.
__device__ inline void order(std::uint64_t& low, std::uint64_t& high, std::int64_t place,
                             std::int64_t run) {
  const bool rising = (place & (2 * run)) == 0;
  if ((low > high) != rising) return;
  const std::uint64_t kept = low;
  low = high;
  high = kept;
}

// Strides below the tile's size for runs of `first_run`, 2 first_run, ... `last_run`.
__global__ void __launch_bounds__(kBlock)
    sort_tile_kernel(std::uint64_t* keys, std::int64_t first_run, std::int64_t last_run) {
  CLOZE_SHARED_ARRAY(std::uint64_t, tile, kTile);
  const std::int64_t origin = std::int64_t{blockIdx.x} * kTile;
  for (std::int64_t i = threadIdx.x; i < kTile; i += kBlock) tile[i] = keys[origin + i];
  __syncthreads();
  for (std::int64_t run = first_run; run <= last_run; run *= 2) {
    for (std::int64_t stride = run < kTile / 2 ? run : kTile / 2; stride > 0; stride /= 2) {
      for (std::int64_t pair = threadIdx.x; pair < kTile / 2; pair += kBlock) {
        const std::int64_t place = place_of(pair, stride);
        order(tile[place], tile[place + stride], origin + place, run);
      }
      __syncthreads();
    }
  }
  for (std::int64_t i = threadIdx.x; i < kTile; i += kBlock) keys[origin + i] = tile[i];
}

__global__ void __launch_bounds__(kBlock)
    merge_kernel(std::uint64_t* keys, std::int64_t pairs, std::int64_t run, std::int64_t stride) {
  const std::int64_t step = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t pair = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; pair < pairs;
       pair += step) {
    const std::int64_t place = place_of(pair, stride);
    order(keys[place], keys[place + stride], place, run);
  }
}

}  // namespace

std::int64_t sorted_size(std::int64_t count) {
  std::int64_t size = kTile;
  while (size < count) size *= 2;
  return size;
}

void sort_keys(std::uint64_t* keys, std::int64_t size, Stream stream) {
  const unsigned tiles = whole_grid(size / kTile);
  CLOZE_LAUNCH(&sort_tile_kernel, tiles, kBlock, 0, stream, keys, std::int64_t{1}, kTile / 2);
  for (std::int64_t run = kTile; run < size; run *= 2) {
    for (std::int64_t stride = run; stride >= kTile; stride /= 2) {
      CLOZE_LAUNCH(&merge_kernel, grid_of(size / 2 / kBlock), kBlock, 0, stream, keys, size / 2,
                   run, stride);
    }
    CLOZE_LAUNCH(&sort_tile_kernel, tiles, kBlock, 0, stream, keys, run, run);
  }
}

}  // namespace cloze::cuda
