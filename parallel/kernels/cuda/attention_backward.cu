// The backward pass of attention on the ordinary arithmetic units. The probabilities are made
// again from lse, twice: once by the owners of the keys, which loop over the queries of all heads
// that share them and write dk and dv, and once by the owners of the queries, which write dq.
#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/attention_tensor.h"
#include "parallel/kernels/cuda/attention_tile.h"

namespace cloze::cuda {
namespace {

// As large as registers allow, and the least shared memory with two tiles of rows.
template <class T, int kHeadDim>
constexpr int kBackwardTile = std::is_same_v<T, double> ? (kHeadDim <= 128 ? 32 : 16)
                                                        : (kHeadDim <= 64 ? 64 : 32);

// kTurn: keys and values, and queries and douts, take turns in one place each. Five tiles come from
// memory for a pair of tiles instead of two: for a GPU without room for all four. A smaller tile
// would cost more, for its products read shared memory more often.
template <class T, int kHeadDim, bool kTurn>
struct BackwardShape : TileShape<T, kHeadDim, kBackwardTile<T, kHeadDim>> {
  static constexpr bool kTurns = kTurn;
  // Bytes of the tiles of rows, and two of scores.
  static constexpr std::size_t kShared =
      ((kTurn ? 2 : 4) * BackwardShape::kTileSize + 2 * BackwardShape::kScoresSize) *
      BackwardShape::kElementBytes;
  // Blocks that the compiler must leave registers for where tiles take turns, whose places in
  // memory it would keep in registers: 2 of floats, 1 of doubles. 0: as it likes.
  static constexpr int kBlocks = kTurn ? BackwardShape::kVec / 2 : 0;
};

// Where the tiles of a block lie.
template <class Tile>
struct BackwardTiles {
  using A = Tile::A;
  __device__ explicit BackwardTiles(unsigned char* shared)
      : keys(reinterpret_cast<A*>(shared)),
        values(Tile::kTurns ? keys : keys + Tile::kTileSize),
        queries(values + Tile::kTileSize),
        douts(Tile::kTurns ? queries : queries + Tile::kTileSize),
        weights(douts + Tile::kTileSize),
        slopes(weights + Tile::kScoresSize) {}

  A* const keys;
  A* const values;
  A* const queries;
  A* const douts;
  A* const weights;
  A* const slopes;
};

// delta [heads, tokens] = sum over channels of out * dout; a warp has a token of a head.
template <class T>
__global__ void __launch_bounds__(kTileBlock)
    delta_kernel(const AttentionShape shape, const T* out, const T* dout, Accumulator<T>* delta) {
  using A = Accumulator<T>;
  const std::int64_t warps = std::int64_t{gridDim.x} * (kTileBlock / 32);
  for (std::int64_t i = std::int64_t{blockIdx.x} * (kTileBlock / 32) + threadIdx.x / 32;
       i < shape.tokens * shape.heads; i += warps) {
    const std::int64_t head = i % shape.heads;
    const std::int64_t token = i / shape.heads;
    const std::int64_t offset = token * shape.out_stride + head * shape.head_dim;
    A sum = 0;
    for (std::int64_t d = threadIdx.x % 32; d < shape.head_dim; d += 32) {
      sum = multiply_add(static_cast<A>(out[offset + d]), static_cast<A>(dout[offset + d]), sum);
    }
    sum = combine_warp(sum, Add{});
    if (threadIdx.x % 32 == 0) delta[head * shape.tokens + token] = sum;
  }
}

// bounds [tiles]; a warp has a tile.
__global__ void __launch_bounds__(kTileBlock)
    bounds_kernel(const std::int32_t* lo, const std::int32_t* hi, std::int64_t tokens,
                  std::int64_t tile, IntervalBounds* bounds, std::int64_t tiles) {
  const std::int64_t warps = std::int64_t{gridDim.x} * (kTileBlock / 32);
  for (std::int64_t i = std::int64_t{blockIdx.x} * (kTileBlock / 32) + threadIdx.x / 32; i < tiles;
       i += warps) {
    const IntervalBounds of_tile = bounds_of_queries(lo, hi, i * tile, tile, tokens);
    if (threadIdx.x % 32 == 0) bounds[i] = of_tile;
  }
}

// Two tiles of scores: the probabilities after dropout, and the gradients of q k^T. From the tiles
// of queries and keys and, after turn(), of values and douts; each thread writes its own part.
template <class Tile, class T, class Turn>
__device__ inline void differentiate(const BackwardCall<T>& call, std::int64_t head,
                                     std::int64_t first_query, std::int64_t first_key,
                                     const BackwardTiles<Tile>& tiles, const Turn& turn) {
  using A = Accumulator<T>;
  constexpr int kRows = Tile::kRows;
  const AttentionShape& shape = call.forward.shape;
  const A scale = static_cast<A>(shape.scale);
  const std::int64_t my_query = first_query + threadIdx.x / 16 * kRows;
  const std::int64_t my_key = first_key + threadIdx.x % 16;
  A scores[kRows][kRows];
  multiply_rows<Tile>(scores, tiles.queries, tiles.keys);
  CLOZE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const std::int64_t query = my_query + i;
    const KeyInterval seen = interval_of(call.forward.lo, call.forward.hi, query, shape.tokens);
    const A lse = seen.hi == 0 ? A{0} : call.lse[head * shape.tokens + query];
    CLOZE_UNROLL
    for (int j = 0; j < kRows; ++j) {
      scores[i][j] =
          seen.contains(my_key + 16 * j) ? exponential(scores[i][j] * scale - lse) : A{0};
    }
  }
  store_scores<Tile>(tiles.weights, scores);
  turn();
  multiply_rows<Tile>(scores, tiles.douts, tiles.values);
  store_scores<Tile>(tiles.slopes, scores);
  CLOZE_UNROLL_BY(1)
  for (int i = 0; i < kRows; ++i) {
    const std::int64_t query = my_query + i;
    const A delta = query < shape.tokens ? call.delta[head * shape.tokens + query] : A{0};
    CLOZE_UNROLL_BY(1)
    for (int j = 0; j < kRows; ++j) {
      const int at = static_cast<int>(threadIdx.x / 16 * kRows + i) * Tile::kScoreStride +
                     static_cast<int>(threadIdx.x % 16) + 16 * j;
      const A probability = tiles.weights[at];
      A factor = 1;
      if (call.forward.keep_scale != 0 && probability != 0) {
        factor = keep_factor(call.forward, head, query, my_key + 16 * j);
      }
      tiles.slopes[at] = probability * (tiles.slopes[at] * factor - delta) * scale;
      tiles.weights[at] = probability * factor;
    }
  }
}

template <class T, class Tile>
__global__ void __launch_bounds__(kTileBlock, Tile::kBlocks)
    key_gradient_kernel(const __grid_constant__ BackwardCall<T> call) {
  using A = Accumulator<T>;
  constexpr int kTile = Tile::kTokens;
  CLOZE_DYNAMIC_SHARED(shared);
  const BackwardTiles<Tile> tiles(shared);
  const AttentionCall<T>& forward = call.forward;
  const AttentionShape& shape = forward.shape;
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t kv_head = blockIdx.x % shape.kv_heads;
  const std::int64_t first_key = blockIdx.x / shape.kv_heads * kTile;
  const std::int64_t kv_offset = kv_head * shape.head_dim;
  A dk[Tile::kRows][Tile::kChunks * Tile::kVec] = {};
  A dv[Tile::kRows][Tile::kChunks * Tile::kVec] = {};
  const auto load_rows = [&](A* to, const T* from, std::int64_t stride, std::int64_t first) {
    load_tile<Tile>(to, from, stride, first, shape.tokens, shape.head_dim, forward.vectors);
  };
  const auto load_keys = [&] {
    load_rows(tiles.keys, forward.k + kv_offset, shape.kv_stride, first_key);
  };
  const auto load_values = [&] {
    load_rows(tiles.values, forward.v + kv_offset, shape.kv_stride, first_key);
  };
  if constexpr (!Tile::kTurns) {
    load_keys();
    load_values();
  }
  for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const std::int64_t offset = head * shape.head_dim;
    for (std::int64_t query = 0; query < shape.tokens; query += kTile) {
      if (!call.bounds[query / kTile].meets(first_key, first_key + kTile)) continue;
      const auto load_queries = [&] {
        load_rows(tiles.queries, forward.q + offset, shape.q_stride, query);
      };
      const auto load_douts = [&] {
        load_rows(tiles.douts, call.dout + offset, shape.out_stride, query);
      };
      __syncthreads();  // The last tile's products are done.
      load_queries();
      if constexpr (Tile::kTurns) {
        load_keys();
      } else {
        load_douts();
      }
      __syncthreads();
      differentiate<Tile>(call, head, query, first_key, tiles, [&] {
        if constexpr (Tile::kTurns) {
          __syncthreads();  // The queries and keys have been read.
          load_douts();
          load_values();
          __syncthreads();
        }
      });
      __syncthreads();
      add_product<Tile, true>(dv, tiles.weights, tiles.douts);
      if constexpr (Tile::kTurns) {
        __syncthreads();  // The douts have been read.
        load_queries();
        __syncthreads();
      }
      add_product<Tile, true>(dk, tiles.slopes, tiles.queries);
    }
  }
  CLOZE_UNROLL
  for (int i = 0; i < Tile::kRows; ++i) {
    const std::int64_t key = first_key + threadIdx.x / 16 * Tile::kRows + i;
    if (key >= shape.tokens) continue;
    store_sums<Tile>(call.dk + key * shape.kv_stride + kv_offset, dk[i], A{1}, shape.head_dim);
    store_sums<Tile>(call.dv + key * shape.kv_stride + kv_offset, dv[i], A{1}, shape.head_dim);
  }
}

template <class T, class Tile>
__global__ void __launch_bounds__(kTileBlock, Tile::kBlocks)
    query_gradient_kernel(const __grid_constant__ BackwardCall<T> call) {
  using A = Accumulator<T>;
  constexpr int kTile = Tile::kTokens;
  CLOZE_DYNAMIC_SHARED(shared);
  const BackwardTiles<Tile> tiles(shared);
  const AttentionCall<T>& forward = call.forward;
  const AttentionShape& shape = forward.shape;
  const std::int64_t num_tiles = (shape.tokens + kTile - 1) / kTile;
  const std::int64_t tile = num_tiles - 1 - blockIdx.x / shape.heads;  // The longest first.
  const std::int64_t first_query = tile * kTile;
  const std::int64_t head = blockIdx.x % shape.heads;
  const std::int64_t offset = head * shape.head_dim;
  const std::int64_t kv_offset = head / (shape.heads / shape.kv_heads) * shape.head_dim;
  const IntervalBounds bounds = call.bounds[tile];
  A dq[Tile::kRows][Tile::kChunks * Tile::kVec] = {};
  const auto load_rows = [&](A* to, const T* from, std::int64_t stride, std::int64_t first) {
    load_tile<Tile>(to, from, stride, first, shape.tokens, shape.head_dim, forward.vectors);
  };
  const auto load_queries = [&] {
    load_rows(tiles.queries, forward.q + offset, shape.q_stride, first_query);
  };
  const auto load_douts = [&] {
    load_rows(tiles.douts, call.dout + offset, shape.out_stride, first_query);
  };
  if constexpr (!Tile::kTurns) {
    load_queries();
    load_douts();
  }
  for (std::int64_t key = bounds.min_lo / kTile * kTile; key < bounds.max_hi; key += kTile) {
    const auto load_keys = [&] {
      load_rows(tiles.keys, forward.k + kv_offset, shape.kv_stride, key);
    };
    const auto load_values = [&] {
      load_rows(tiles.values, forward.v + kv_offset, shape.kv_stride, key);
    };
    __syncthreads();  // The last tile's product is done.
    load_keys();
    if constexpr (Tile::kTurns) {
      load_queries();
    } else {
      load_values();
    }
    __syncthreads();
    differentiate<Tile>(call, head, first_query, key, tiles, [&] {
      if constexpr (Tile::kTurns) {
        __syncthreads();  // The keys and queries have been read.
        load_values();
        load_douts();
        __syncthreads();
      }
    });
    __syncthreads();
    if constexpr (Tile::kTurns) {
      load_keys();
      __syncthreads();
    }
    add_product<Tile, false>(dq, tiles.slopes, tiles.keys);
  }
  CLOZE_UNROLL
  for (int i = 0; i < Tile::kRows; ++i) {
    const std::int64_t query = first_query + threadIdx.x / 16 * Tile::kRows + i;
    if (query >= shape.tokens) continue;
    store_sums<Tile>(call.dq + query * shape.q_stride + offset, dq[i], A{1}, shape.head_dim);
  }
}

constexpr std::int64_t kSmallestTile = 16;

// Where things lie in the workspace, in bytes; the bounds at 0.
struct WorkspaceLayout {
  std::int64_t delta;
  std::int64_t parts;
  std::int64_t bytes;
};

template <class T>
WorkspaceLayout layout_of(const AttentionShape& shape) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(Accumulator<T>));
  const std::int64_t tiles = (shape.tokens + kSmallestTile - 1) / kSmallestTile;
  WorkspaceLayout layout{};
  layout.delta = tiles * static_cast<std::int64_t>(sizeof(IntervalBounds));
  layout.parts = layout.delta + (shape.heads * shape.tokens * kSize + 15) / 16 * 16;
  layout.bytes = layout.parts;
  const bool on_tensor_cores = sizeof(T) == 2 && (shape.head_dim == 64 || shape.head_dim == 128);
  if (on_tensor_cores && num_head_parts(shape) > 1) {
    layout.bytes +=
        2 * num_head_parts(shape) * shape.tokens * shape.kv_heads * shape.head_dim * kSize;
  }
  return layout;
}

template <class T, class Tile>
void run_tiles(const BackwardCall<T>& call, std::int64_t tiles, Stream stream) {
  const AttentionShape& shape = call.forward.shape;
  auto* const of_keys = &key_gradient_kernel<T, Tile>;
  CLOZE_LAUNCH(of_keys, whole_grid(tiles * shape.kv_heads), kTileBlock, Tile::kShared, stream,
               call);
  auto* const of_queries = &query_gradient_kernel<T, Tile>;
  CLOZE_LAUNCH(of_queries, whole_grid(tiles * shape.heads), kTileBlock, Tile::kShared, stream,
               call);
}

template <class T, int kHeadDim>
void run_backward(const BackwardCall<T>& call, IntervalBounds* bounds, Stream stream) {
  using Whole = BackwardShape<T, kHeadDim, false>;
  constexpr std::int64_t kTile = Whole::kTokens;
  const AttentionShape& shape = call.forward.shape;
  const std::int64_t tiles = (shape.tokens + kTile - 1) / kTile;
  CLOZE_LAUNCH(&bounds_kernel, grid_of((tiles + 7) / 8), kTileBlock, 0, stream, call.forward.lo,
               call.forward.hi, shape.tokens, kTile, bounds, tiles);
  if constexpr (Whole::kShared > kSharedOfEveryGpu) {
    if (shared_of_gpu() < Whole::kShared) {
      using Turns = BackwardShape<T, kHeadDim, true>;
      static_assert(Turns::kShared <= kSharedOfEveryGpu);
      run_tiles<T, Turns>(call, tiles, stream);
      return;
    }
  }
  run_tiles<T, Whole>(call, tiles, stream);
}

}  // namespace

template <class T>
std::int64_t attention_backward_workspace(const AttentionShape& shape) {
  return layout_of<T>(shape).bytes;
}

template <class T>
void attention_backward(const AttentionShape& shape, const T* dout, const T* q, const T* k,
                        const T* v, const T* out, const Accumulator<T>* lse, const std::int32_t* lo,
                        const std::int32_t* hi, const AttentionDropout* dropout, T* dq, T* dk,
                        T* dv, void* workspace, Stream stream) {
  BackwardCall<T> call{};
  call.forward = attention_call(shape, q, k, v, lo, hi, dropout);
  CLOZE_CHECK(shape.kv_tokens == 0, "the backward pass was given a cache of keys",
              "a cache is for generating alone");
  if (shape.tokens == 0 || shape.heads == 0) return;
  call.forward.vectors = call.forward.vectors && vectors_fit<T>(shape.out_stride, {dout});
  const WorkspaceLayout layout = layout_of<T>(shape);
  auto* const bytes = static_cast<unsigned char*>(workspace);
  auto* const bounds = reinterpret_cast<IntervalBounds*>(bytes);
  auto* const delta = reinterpret_cast<Accumulator<T>*>(bytes + layout.delta);
  call.dout = dout;
  call.lse = lse;
  call.delta = delta;
  call.bounds = bounds;
  call.parts = reinterpret_cast<Accumulator<T>*>(bytes + layout.parts);
  call.dq = dq;
  call.dk = dk;
  call.dv = dv;
  CLOZE_LAUNCH(&delta_kernel<T>, grid_of((shape.tokens * shape.heads + 7) / 8), kTileBlock, 0,
               stream, shape, out, dout, delta);
  if constexpr (sizeof(T) == 2) {
    const bool fits = fits_tensor_cores(call.forward, dout) &&
                      vectors_fit<T>(shape.q_stride, {dq}) &&
                      vectors_fit<T>(shape.kv_stride, {dk, dv});
    if (fits) {
      const std::int64_t tensor_tiles = (shape.tokens + kTensorQueries - 1) / kTensorQueries;
      CLOZE_LAUNCH(&bounds_kernel, grid_of((tensor_tiles + 7) / 8), kTileBlock, 0, stream, lo, hi,
                   shape.tokens, kTensorQueries, bounds, tensor_tiles);
      attention_backward_tensor(call, stream);
      return;
    }
  }
  with_head_dim(shape.head_dim,
                [&](auto head_dim) { run_backward<T, head_dim.value>(call, bounds, stream); });
}

#define CLOZE_INSTANTIATE(T)                                                                      \
  template std::int64_t attention_backward_workspace<T>(const AttentionShape&);                   \
  template void attention_backward(const AttentionShape&, const T*, const T*, const T*, const T*, \
                                   const T*, const Accumulator<T>*, const std::int32_t*,          \
                                   const std::int32_t*, const AttentionDropout*, T*, T*, T*,      \
                                   void*, Stream)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

}  // namespace cloze::cuda
