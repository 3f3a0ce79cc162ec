// The forward pass of attention on the tensor cores, after FlashAttention-2: a warp has 16 queries
// and keeps their scores, probabilities and sums in registers; a block's four warps share the
// tiles of keys and values.
#include "parallel/kernels/cuda/attention_tensor.h"
#include "parallel/kernels/cuda/attention_tensor_tile.h"

namespace cloze::cuda {
namespace {

constexpr int kTile = 64;  // Queries and keys of a tile.

template <int kHeadDim>
constexpr std::size_t kShared = std::size_t{3} * kTile* kTensorStride<kHeadDim> * 2;
static_assert(kShared<128> <= kSharedOfEveryGpu);

template <class T, int kHeadDim>
__global__ void __launch_bounds__(kTensorBlock)
    attention_tensor_kernel(const __grid_constant__ AttentionCall<T> call, T* out, float* lse) {
  constexpr int kRow = kTensorStride<kHeadDim>;
  constexpr int kKeyTiles = kTile / 8;         // Of 8 keys.
  constexpr int kChannelTiles = kHeadDim / 8;  // Of 8 channels.
  CLOZE_DYNAMIC_SHARED(shared);
  T* const queries = reinterpret_cast<T*>(shared);
  // The values come while the scores are computed, and the next keys while the values are summed:
  // one tile of each, so that four blocks fit a multiprocessor.
  T* const keys = queries + kTile * kRow;
  T* const values = keys + kTile * kRow;
  const AttentionShape& shape = call.shape;
  // The last queries see the most keys where masks are causal: they go first.
  const std::int64_t tiles = (shape.tokens + kTile - 1) / kTile;
  const std::int64_t first_query = (tiles - 1 - blockIdx.x / shape.heads) * kTile;
  const std::int64_t head = blockIdx.x % shape.heads;
  const std::int64_t kv_offset = head / (shape.heads / shape.kv_heads) * kHeadDim;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp_row = static_cast<int>(threadIdx.x / 32) * 16;
  const std::int64_t my_query = first_query + warp_row + lane / 4;  // And the one 8 below.
  // exp(scale x) = 2^(factor x).
  const float factor = static_cast<float>(shape.scale * 1.4426950408889634);
  const MatrixPlaces places;

  const IntervalBounds bounds =
      bounds_of_queries(call.lo, call.hi, first_query, kTile, shape.tokens);
  const std::int64_t first_key = bounds.min_lo / kTile * kTile;
  const auto start_keys = [&](std::int64_t key) {
    if (key >= bounds.max_hi) return;
    start_tile<kHeadDim, kTile>(keys, call.k + kv_offset, shape.kv_stride, key, call.keys);
  };
  start_tile<kHeadDim, kTile>(queries, call.q + head * kHeadDim, shape.q_stride, first_query,
                              shape.tokens);
  start_keys(first_key);
  KeyInterval seen[2];
  float largest[2];
  float denominator[2] = {0, 0};
  CLOZE_UNROLL
  for (int i = 0; i < 2; ++i) {
    seen[i] = interval_of(call.lo, call.hi, my_query + 8 * i, shape.tokens);
    largest[i] = -INFINITY;
  }
  float sums[kChannelTiles][4] = {};
  wait_copies();
  __syncthreads();
  for (std::int64_t key = first_key; key < bounds.max_hi; key += kTile) {
    start_tile<kHeadDim, kTile>(values, call.v + kv_offset, shape.kv_stride, key, call.keys);
    float scores[kKeyTiles][4] = {};
    multiply_rows_tensor<kHeadDim>(scores, queries + warp_row * kRow, keys, places);
    const bool whole = bounds.covers(key, key + kTile);
    const auto my_key = static_cast<std::int32_t>(key) + lane % 4 * 2;
    CLOZE_UNROLL
    for (int i = 0; i < 2; ++i) {
      float grown = largest[i];
      CLOZE_UNROLL
      for (int j = 0; j < kKeyTiles; ++j) {
        CLOZE_UNROLL
        for (int e = 0; e < 2; ++e) {
          float& score = scores[j][2 * i + e];
          const bool visible = whole || seen[i].contains(my_key + 8 * j + e);
          score = visible ? score * factor : -INFINITY;
          grown = fmaxf(grown, score);
        }
      }
      grown = fmaxf(grown, __shfl_xor_sync(kAllLanes, grown, 1));
      grown = fmaxf(grown, __shfl_xor_sync(kAllLanes, grown, 2));
      // Where no key is seen yet, every score is -infinity or NaN: the one gives 0, the other
      // shows.
      const float base = grown == -INFINITY ? 0.0F : grown;
      const float shrink = exp2f(largest[i] - base);
      largest[i] = grown;
      float total = 0;
      CLOZE_UNROLL
      for (int j = 0; j < kKeyTiles; ++j) {
        CLOZE_UNROLL
        for (int e = 0; e < 2; ++e) {
          float& score = scores[j][2 * i + e];
          score = exp2f(score - base);
          total += score;
        }
      }
      total += __shfl_xor_sync(kAllLanes, total, 1);
      total += __shfl_xor_sync(kAllLanes, total, 2);
      denominator[i] = multiply_add(denominator[i], shrink, total);
      CLOZE_UNROLL
      for (int c = 0; c < kChannelTiles; ++c) {
        sums[c][2 * i] *= shrink;
        sums[c][2 * i + 1] *= shrink;
      }
    }
    wait_copies();
    __syncthreads();  // The values have come, and the keys have been read.
    start_keys(key + kTile);
    add_product_tensor<kHeadDim>(sums, scores, values, places);
    wait_copies();
    __syncthreads();  // The next keys have come, and the values have been read.
  }
  CLOZE_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t query = my_query + 8 * i;
    if (query >= shape.tokens) continue;
    const bool empty = seen[i].hi == 0;
    const float share = empty ? 0.0F : 1.0F / denominator[i];
    T* const to = out + query * shape.out_stride + head * kHeadDim + lane % 4 * 2;
    store_row(to, sums, i, share);
    if (lane % 4 != 0) continue;
    lse[head * shape.tokens + query] =
        empty ? -INFINITY : largest[i] * 0.6931471805599453F + logarithm(denominator[i]);
  }
}

template <class T, int kHeadDim>
void run(const AttentionCall<T>& call, T* out, float* lse, Stream stream) {
  auto* const kernel = &attention_tensor_kernel<T, kHeadDim>;
  const std::int64_t tiles = (call.shape.tokens + kTile - 1) / kTile;
  CLOZE_LAUNCH(kernel, whole_grid(tiles * call.shape.heads), kTensorBlock, kShared<kHeadDim>,
               stream, call, out, lse);
}

}  // namespace

template <class T>
void attention_forward_tensor(const AttentionCall<T>& call, T* out, float* lse, Stream stream) {
  if (call.shape.head_dim == 64) {
    run<T, 64>(call, out, lse, stream);
  } else {
    run<T, 128>(call, out, lse, stream);
  }
}

template void attention_forward_tensor(const AttentionCall<BFloat16>&, BFloat16*, float*, Stream);
template void attention_forward_tensor(const AttentionCall<Float16>&, Float16*, float*, Stream);

}  // namespace cloze::cuda
