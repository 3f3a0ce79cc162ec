// The backward pass of attention on the tensor cores: a kernel whose warps have 16 keys each writes
// dk and dv, one whose warps have 16 queries each writes dq. Both make the scores again.
#include "parallel/kernels/cuda/attention_tensor.h"
#include "parallel/kernels/cuda/attention_tensor_tile.h"

namespace cloze::cuda {
namespace {

constexpr int kTile = 64;  // Of what a block owns.
constexpr int kQueries = static_cast<int>(kTensorQueries);
constexpr float kLog2E = 1.4426950408889634F;

template <int kHeadDim>
constexpr std::size_t kKeyShared = std::size_t{2} *
                                   (kTile + 2 * kQueries) * kTensorStride<kHeadDim> * 2;
template <int kHeadDim, int kKeys>
constexpr std::size_t kQueryShared = std::size_t{2} *
                                     (kTile + 2 * kKeys) * kTensorStride<kHeadDim> * 2;

// What the scores of one query need.
struct QueryStatistics {
  KeyInterval seen;
  float base;  // lse in powers of two.
  float delta;
};

// Keys of a tile of the queries' kernel. 64 have half as many barriers as 32, and twice the work
// for copies to hide behind; with 128 channels they need 102 KiB, so that 8.6, 8.9 and 12.x take
// 32. The order of the sums, and so their bits, are the same.
constexpr int kManyKeys = 64;
constexpr int kFewKeys = 32;

static_assert(kKeyShared<128> + 2 * kQueries * sizeof(QueryStatistics) <= kSharedOfEveryGpu);
static_assert(kQueryShared<128, kFewKeys> <= kSharedOfEveryGpu);

template <class T>
__device__ inline QueryStatistics statistics_of(const BackwardCall<T>& call, std::int64_t head,
                                                std::int64_t query) {
  const AttentionShape& shape = call.forward.shape;
  QueryStatistics result{interval_of(call.forward.lo, call.forward.hi, query, shape.tokens), 0, 0};
  if (result.seen.hi == 0) return result;
  result.base = call.lse[head * shape.tokens + query] * kLog2E;
  result.delta = call.delta[head * shape.tokens + query];
  return result;
}

template <class T, int kHeadDim>
__global__ void __launch_bounds__(kTensorBlock)
    key_gradient_tensor_kernel(const __grid_constant__ BackwardCall<T> call,
                               std::int64_t num_parts) {
  constexpr int kRow = kTensorStride<kHeadDim>;
  constexpr int kQueryTiles = kQueries / 8;
  CLOZE_DYNAMIC_SHARED(shared);
  CLOZE_SHARED_ARRAY(QueryStatistics, statistics, 2 * kQueries);
  T* const keys = reinterpret_cast<T*>(shared);
  T* const values = keys + kTile * kRow;
  // Two tiles of queries: the next one comes while this one is worked on.
  T* const queries = values + kTile * kRow;
  T* const douts = queries + 2 * kQueries * kRow;
  const AttentionCall<T>& forward = call.forward;
  const AttentionShape& shape = forward.shape;
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t kv_head = blockIdx.x % shape.kv_heads;
  const std::int64_t part = blockIdx.x / shape.kv_heads % num_parts;
  const std::int64_t first_key = blockIdx.x / (shape.kv_heads * num_parts) * kTile;
  const std::int64_t kv_offset = kv_head * kHeadDim;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp_row = static_cast<int>(threadIdx.x / 32) * 16;
  const std::int64_t my_key = first_key + warp_row + lane / 4;  // And the one 8 below.
  const auto scale = static_cast<float>(shape.scale);
  const float factor = scale * kLog2E;
  const MatrixPlaces places;
  float dk[kHeadDim / 8][4] = {};
  float dv[kHeadDim / 8][4] = {};
  start_tile<kHeadDim, kTile>(keys, forward.k + kv_offset, shape.kv_stride, first_key,
                              shape.tokens);
  start_tile<kHeadDim, kTile>(values, forward.v + kv_offset, shape.kv_stride, first_key,
                              shape.tokens);
  const int last_head = static_cast<int>(kv_head * group + group * (part + 1) / num_parts);
  const int num_queries = static_cast<int>(shape.tokens);
  // The tiles of queries that see any of the keys, head by head.
  int head = static_cast<int>(kv_head * group + group * part / num_parts);
  int query = -kQueries;
  const auto advance = [&] {
    do {
      query += kQueries;
      if (query >= num_queries) {
        query = 0;
        ++head;
      }
    } while (head < last_head &&
             !call.bounds[query / kQueries].meets(first_key, first_key + kTile));
  };
  const auto start_queries = [&](int place) {
    const std::int64_t offset = std::int64_t{head} * kHeadDim;
    start_tile<kHeadDim, kQueries>(queries + place * kQueries * kRow, forward.q + offset,
                                   shape.q_stride, query, shape.tokens);
    start_tile<kHeadDim, kQueries>(douts + place * kQueries * kRow, call.dout + offset,
                                   shape.out_stride, query, shape.tokens);
    if (threadIdx.x < kQueries) {
      statistics[place * kQueries + threadIdx.x] = statistics_of(call, head, query + threadIdx.x);
    }
  };
  advance();
  bool more = head < last_head;
  if (more) start_queries(0);
  int place = 0;
  wait_copies();
  while (more) {
    __syncthreads();  // This tile has come, and the last one has been read.
    const T* const my_queries = queries + place * kQueries * kRow;
    const T* const my_douts = douts + place * kQueries * kRow;
    const QueryStatistics* const my_statistics = statistics + place * kQueries + lane % 4 * 2;
    place = 1 - place;
    advance();
    more = head < last_head;
    if (more) start_queries(place);
    float scores[kQueryTiles][4] = {};  // [keys, queries]
    multiply_rows_tensor<kHeadDim>(scores, keys + warp_row * kRow, my_queries, places);
    CLOZE_UNROLL
    for (int j = 0; j < kQueryTiles; ++j) {
      CLOZE_UNROLL
      for (int e = 0; e < 4; ++e) {
        const QueryStatistics& of = my_statistics[j * 8 + e % 2];
        const bool visible = of.seen.contains(my_key + e / 2 * 8);
        scores[j][e] = visible ? exp2f(multiply_add(scores[j][e], factor, -of.base)) : 0.0F;
      }
    }
    add_product_tensor<kHeadDim>(dv, scores, my_douts, places);
    float slopes[kQueryTiles][4] = {};
    multiply_rows_tensor<kHeadDim>(slopes, values + warp_row * kRow, my_douts, places);
    CLOZE_UNROLL
    for (int j = 0; j < kQueryTiles; ++j) {
      CLOZE_UNROLL
      for (int e = 0; e < 4; ++e) {
        slopes[j][e] = scores[j][e] * (slopes[j][e] - my_statistics[j * 8 + e % 2].delta) * scale;
      }
    }
    add_product_tensor<kHeadDim>(dk, slopes, my_queries, places);
    wait_copies();
  }
  CLOZE_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t key = my_key + 8 * i;
    if (key >= shape.tokens) continue;
    if (num_parts == 1) {
      const std::int64_t at = key * shape.kv_stride + kv_offset + lane % 4 * 2;
      store_row(call.dk + at, dk, i, 1.0F);
      store_row(call.dv + at, dv, i, 1.0F);
    } else {
      const std::int64_t width = shape.kv_heads * kHeadDim;
      const std::int64_t at = (part * shape.tokens + key) * width + kv_offset + lane % 4 * 2;
      store_row(call.parts + at, dk, i, 1.0F);
      store_row(call.parts + num_parts * shape.tokens * width + at, dv, i, 1.0F);
    }
  }
}

// dk and dv from their parts; a block has a token at a time.
template <class T>
__global__ void __launch_bounds__(kTensorBlock)
    add_head_parts_tensor_kernel(const __grid_constant__ BackwardCall<T> call,
                                 std::int64_t num_parts) {
  constexpr int kN = 4;
  const AttentionShape& shape = call.forward.shape;
  const std::int64_t width = shape.kv_heads * shape.head_dim;
  const std::int64_t part_size = shape.tokens * width;
  for (std::int64_t token = blockIdx.x; token < shape.tokens; token += gridDim.x) {
    for (std::int64_t i = std::int64_t{threadIdx.x} * kN; i < 2 * width;
         i += std::int64_t{blockDim.x} * kN) {
      const bool of_keys = i < width;
      const std::int64_t channel = of_keys ? i : i - width;
      const float* const from =
          call.parts + (of_keys ? 0 : num_parts * part_size) + token * width + channel;
      Values<float, kN> sum = load<kN>(from);
      for (std::int64_t part = 1; part < num_parts; ++part) {
        const Values<float, kN> next = load<kN>(from + part * part_size);
        CLOZE_UNROLL
        for (int j = 0; j < kN; ++j) sum.at[j] += next.at[j];
      }
      store<kN>((of_keys ? call.dk : call.dv) + token * shape.kv_stride + channel, sum);
    }
  }
}

template <class T, int kHeadDim, int kKeys>
__global__ void __launch_bounds__(kTensorBlock)
    query_gradient_tensor_kernel(const __grid_constant__ BackwardCall<T> call) {
  constexpr int kRow = kTensorStride<kHeadDim>;
  constexpr int kKeyTiles = kKeys / 8;
  CLOZE_DYNAMIC_SHARED(shared);
  T* const queries = reinterpret_cast<T*>(shared);
  T* const douts = queries + kTile * kRow;
  T* const keys = douts + kTile * kRow;
  T* const values = keys + 2 * kKeys * kRow;
  const AttentionCall<T>& forward = call.forward;
  const AttentionShape& shape = forward.shape;
  const std::int64_t tiles = (shape.tokens + kTile - 1) / kTile;
  const std::int64_t first_query = (tiles - 1 - blockIdx.x / shape.heads) * kTile;
  const std::int64_t head = blockIdx.x % shape.heads;
  const std::int64_t offset = head * kHeadDim;
  const std::int64_t kv_offset = head / (shape.heads / shape.kv_heads) * kHeadDim;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp_row = static_cast<int>(threadIdx.x / 32) * 16;
  const std::int64_t my_query = first_query + warp_row + lane / 4;  // And the one 8 below.
  const auto scale = static_cast<float>(shape.scale);
  const float factor = scale * kLog2E;
  const MatrixPlaces places;
  start_tile<kHeadDim, kTile>(queries, forward.q + offset, shape.q_stride, first_query,
                              shape.tokens);
  start_tile<kHeadDim, kTile>(douts, call.dout + offset, shape.out_stride, first_query,
                              shape.tokens);
  const IntervalBounds bounds =
      bounds_of_queries(forward.lo, forward.hi, first_query, kTile, shape.tokens);
  const QueryStatistics of[2] = {statistics_of(call, head, my_query),
                                 statistics_of(call, head, my_query + 8)};
  float dq[kHeadDim / 8][4] = {};
  const std::int64_t first_key = bounds.min_lo / kKeys * kKeys;
  const auto start_keys = [&](std::int64_t key, int place) {
    if (key >= bounds.max_hi) return;
    start_tile<kHeadDim, kKeys>(keys + place * kKeys * kRow, forward.k + kv_offset, shape.kv_stride,
                                key, shape.tokens);
    start_tile<kHeadDim, kKeys>(values + place * kKeys * kRow, forward.v + kv_offset,
                                shape.kv_stride, key, shape.tokens);
  };
  start_keys(first_key, 0);
  int place = 0;
  wait_copies();
  for (std::int64_t key = first_key; key < bounds.max_hi; key += kKeys) {
    __syncthreads();  // This tile has come, and the last one has been read.
    start_keys(key + kKeys, 1 - place);
    const T* const my_keys = keys + place * kKeys * kRow;
    const T* const my_values = values + place * kKeys * kRow;
    float scores[kKeyTiles][4] = {};
    float slopes[kKeyTiles][4] = {};
    multiply_rows_tensor<kHeadDim>(scores, queries + warp_row * kRow, my_keys, places);
    multiply_rows_tensor<kHeadDim>(slopes, douts + warp_row * kRow, my_values, places);
    CLOZE_UNROLL
    for (int j = 0; j < kKeyTiles; ++j) {
      CLOZE_UNROLL
      for (int e = 0; e < 4; ++e) {
        const QueryStatistics& mine = of[e / 2];
        const bool visible = mine.seen.contains(key + j * 8 + lane % 4 * 2 + e % 2);
        const float probability =
            visible ? exp2f(multiply_add(scores[j][e], factor, -mine.base)) : 0.0F;
        slopes[j][e] = probability * (slopes[j][e] - mine.delta) * scale;
      }
    }
    add_product_tensor<kHeadDim>(dq, slopes, my_keys, places);
    wait_copies();
    place = 1 - place;
  }
  CLOZE_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t query = my_query + 8 * i;
    if (query >= shape.tokens) continue;
    store_row(call.dq + query * shape.q_stride + offset + lane % 4 * 2, dq, i, 1.0F);
  }
}

template <class T, int kHeadDim, int kKeys>
void run_queries(const BackwardCall<T>& call, std::int64_t tiles, Stream stream) {
  auto* const kernel = &query_gradient_tensor_kernel<T, kHeadDim, kKeys>;
  CLOZE_LAUNCH(kernel, whole_grid(tiles * call.forward.shape.heads), kTensorBlock,
               (kQueryShared<kHeadDim, kKeys>), stream, call);
}

template <class T, int kHeadDim>
void run(const BackwardCall<T>& call, Stream stream) {
  const AttentionShape& shape = call.forward.shape;
  const std::int64_t tiles = (shape.tokens + kTile - 1) / kTile;
  auto* const of_keys = &key_gradient_tensor_kernel<T, kHeadDim>;
  const std::int64_t parts = num_head_parts(shape);
  CLOZE_LAUNCH(of_keys, whole_grid(tiles * shape.kv_heads * parts), kTensorBlock,
               kKeyShared<kHeadDim>, stream, call, parts);
  if (parts > 1) {
    CLOZE_LAUNCH(&add_head_parts_tensor_kernel<T>, grid_of(shape.tokens), kTensorBlock, 0, stream,
                 call, parts);
  }
  constexpr std::size_t kOfManyKeys = kQueryShared<kHeadDim, kManyKeys>;
  if constexpr (kOfManyKeys > kSharedOfEveryGpu) {
    if (shared_of_gpu() < kOfManyKeys) {
      run_queries<T, kHeadDim, kFewKeys>(call, tiles, stream);
      return;
    }
  }
  run_queries<T, kHeadDim, kManyKeys>(call, tiles, stream);
}

}  // namespace

template <class T>
void attention_backward_tensor(const BackwardCall<T>& call, Stream stream) {
  if (call.forward.shape.head_dim == 64) {
    run<T, 64>(call, stream);
  } else {
    run<T, 128>(call, stream);
  }
}

template void attention_backward_tensor(const BackwardCall<BFloat16>&, Stream);
template void attention_backward_tensor(const BackwardCall<Float16>&, Stream);

}  // namespace cloze::cuda
