// The forward pass of attention on the ordinary arithmetic units: for each tile of queries, the
// tiles of keys it sees, with a running maximum and sum of each row (online softmax).
#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/attention_tensor.h"
#include "parallel/kernels/cuda/attention_tile.h"

namespace cloze::cuda {
namespace {

// As large as registers and the shared memory of every GPU allow.
template <class T, int kHeadDim>
constexpr int kForwardTile = std::is_same_v<T, double> ? (kHeadDim <= 128 ? 32 : 16)
                                                       : (kHeadDim <= 128 ? 64 : 32);

// Blocks of the largest tile that a multiprocessor has shared memory for: the compiler need not
// save registers for more. The emulator has no launch bounds that would use it.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
[[maybe_unused]] constexpr int kForwardBlocks = 2;
#else
[[maybe_unused]] constexpr int kForwardBlocks = 1;
#endif

template <class Tile>
constexpr std::size_t kForwardShared =
    (2 * Tile::kTileSize + Tile::kScoresSize) * Tile::kElementBytes;

template <class T, class Tile>
__global__ void __launch_bounds__(kTileBlock, kForwardBlocks)
    attention_forward_kernel(const __grid_constant__ AttentionCall<T> call, T* out,
                             Accumulator<T>* lse) {
  using A = Accumulator<T>;
  constexpr int kTile = Tile::kTokens;
  constexpr int kRows = Tile::kRows;
  static_assert(kForwardShared<Tile> <= kSharedOfEveryGpu);
  CLOZE_DYNAMIC_SHARED(shared);
  A* const queries = reinterpret_cast<A*>(shared);
  A* const rows = queries + Tile::kTileSize;  // Keys, then values.
  A* const weights = rows + Tile::kTileSize;
  const AttentionShape& shape = call.shape;
  // The last queries see the most keys where masks are causal: they go first.
  const std::int64_t tiles = (shape.tokens + kTile - 1) / kTile;
  const std::int64_t first_query = (tiles - 1 - blockIdx.x / shape.heads) * kTile;
  const std::int64_t head = blockIdx.x % shape.heads;
  const std::int64_t kv_offset = head / (shape.heads / shape.kv_heads) * shape.head_dim;
  const unsigned x = threadIdx.x % 16;
  const std::int64_t my_query = first_query + threadIdx.x / 16 * kRows;

  load_tile<Tile>(queries, call.q + head * shape.head_dim, shape.q_stride, first_query,
                  shape.tokens, shape.head_dim, call.vectors);
  const IntervalBounds bounds =
      bounds_of_queries(call.lo, call.hi, first_query, kTile, shape.tokens);
  KeyInterval seen[kRows];
  A largest[kRows];
  A denominator[kRows];
  A sums[kRows][Tile::kChunks * Tile::kVec] = {};
  CLOZE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    seen[i] = interval_of(call.lo, call.hi, my_query + i, shape.tokens);
    largest[i] = -static_cast<A>(INFINITY);
    denominator[i] = 0;
  }
  for (std::int64_t key = bounds.min_lo / kTile * kTile; key < bounds.max_hi; key += kTile) {
    __syncthreads();  // The last tile's values have been read.
    load_tile<Tile>(rows, call.k + kv_offset, shape.kv_stride, key, call.keys, shape.head_dim,
                    call.vectors);
    __syncthreads();
    A scores[kRows][kRows];
    multiply_rows<Tile>(scores, queries, rows);
    __syncthreads();  // The keys have been read.
    load_tile<Tile>(rows, call.v + kv_offset, shape.kv_stride, key, call.keys, shape.head_dim,
                    call.vectors);
    const bool whole = bounds.covers(key, key + kTile);
    CLOZE_UNROLL
    for (int i = 0; i < kRows; ++i) {
      A of_tile = -static_cast<A>(INFINITY);
      CLOZE_UNROLL
      for (int j = 0; j < kRows; ++j) {
        const bool visible = whole || seen[i].contains(key + x + 16 * j);
        scores[i][j] =
            visible ? scores[i][j] * static_cast<A>(shape.scale) : -static_cast<A>(INFINITY);
        of_tile = Larger{}(of_tile, scores[i][j]);
      }
      for (unsigned bits = 8; bits > 0; bits /= 2) {
        of_tile = Larger{}(of_tile, __shfl_xor_sync(kAllLanes, of_tile, bits));
      }
      const A grown = Larger{}(of_tile, largest[i]);
      // No key seen yet: every score is -infinity, whose probability is 0, or a NaN, which must
      // show. A branch, for to subtract another number than `grown` takes registers that spill.
      const bool none = grown == -static_cast<A>(INFINITY);
      const A shrink = none ? A{1} : exponential(largest[i] - grown);
      largest[i] = grown;
      A total = 0;
      CLOZE_UNROLL
      for (int j = 0; j < kRows; ++j) {
        const A unseen = scores[i][j] < 0 ? A{0} : scores[i][j];
        scores[i][j] = none ? unseen : exponential(scores[i][j] - grown);
        total += scores[i][j];
      }
      for (unsigned bits = 8; bits > 0; bits /= 2) {
        total += __shfl_xor_sync(kAllLanes, total, bits);
      }
      denominator[i] = denominator[i] * shrink + total;
      CLOZE_UNROLL
      for (int c = 0; c < Tile::kChunks * Tile::kVec; ++c) sums[i][c] *= shrink;
    }
    store_scores<Tile>(weights, scores);
    if (call.keep_scale != 0) drop_scores<Tile>(call, weights, head, first_query, key);
    __syncthreads();
    add_product<Tile, false>(sums, weights, rows);
  }
  CLOZE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const std::int64_t query = my_query + i;
    if (query >= shape.tokens) continue;
    const bool empty = seen[i].hi == 0;
    store_sums<Tile>(out + query * shape.out_stride + head * shape.head_dim, sums[i],
                     empty ? A{0} : A{1} / denominator[i], shape.head_dim);
    if (x != 0) continue;
    lse[head * shape.tokens + query] =
        empty ? -static_cast<A>(INFINITY) : largest[i] + logarithm(denominator[i]);
  }
}

}  // namespace

template <class T>
void attention_forward(const AttentionShape& shape, const T* q, const T* k, const T* v,
                       const std::int32_t* lo, const std::int32_t* hi,
                       const AttentionDropout* dropout, T* out, Accumulator<T>* lse,
                       Stream stream) {
  const AttentionCall<T> call = attention_call(shape, q, k, v, lo, hi, dropout);
  if (shape.tokens == 0 || shape.heads == 0) return;
  if constexpr (sizeof(T) == 2) {
    if (fits_tensor_cores(call, out)) {
      attention_forward_tensor(call, out, lse, stream);
      return;
    }
  }
  with_head_dim(shape.head_dim, [&](auto head_dim) {
    constexpr int kTile = kForwardTile<T, head_dim.value>;
    using Tile = TileShape<T, head_dim.value, kTile>;
    auto* const kernel = &attention_forward_kernel<T, Tile>;
    const std::int64_t tiles = (shape.tokens + kTile - 1) / kTile;
    CLOZE_LAUNCH(kernel, whole_grid(tiles * shape.heads), kTileBlock, kForwardShared<Tile>, stream,
                 call, out, lse);
  });
}

#define CLOZE_INSTANTIATE(T)                                                           \
  template void attention_forward(const AttentionShape&, const T*, const T*, const T*, \
                                  const std::int32_t*, const std::int32_t*,            \
                                  const AttentionDropout*, T*, Accumulator<T>*, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
