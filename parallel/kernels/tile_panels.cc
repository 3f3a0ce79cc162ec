// Compiled for AVX-512 only: a processor with tiles has it.
#include "parallel/kernels/tile_panels.h"

#ifdef CLOZE_KERNEL_AVX512

#include <immintrin.h>

#include "parallel/kernels/transpose.h"

#define CLOZE_TILES __attribute__((target("amx-tile,amx-bf16")))

namespace cloze {
namespace {

constexpr int kTile = 16;                       // Rows of a tile, and 32-bit columns.
constexpr std::int64_t kTileBytes = 1024;       // 16 rows of 64 bytes.
constexpr std::int64_t kPart = 2 * kTileBytes;  // From the highest parts to the middle ones.

// As LDTILECFG reads it.
struct alignas(64) TileConfiguration {
  std::uint8_t palette;
  std::uint8_t start_row;
  std::uint8_t reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};

constexpr TileConfiguration kEightWholeTiles = {.palette = 1,
                                                .start_row = 0,
                                                .reserved = {},
                                                .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                                .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

// A number is the sum of its parts, each of which is a bfloat16 in the upper half of an fp32.
struct Parts {
  __m512i high, middle, low;
};

// Dekker's split (A floating-point technique for extending the available precision, 1971): the
// nearest number of 8 bits, and the exact rest. Three parts hold all 24 bits of a number.
inline __m512 upper_bits(__m512 x) {
  const __m512 scaled = _mm512_mul_ps(x, _mm512_set1_ps(65537.0F));
  return _mm512_sub_ps(scaled, _mm512_sub_ps(scaled, x));
}

inline Parts split(__m512 x) {
  const __m512 high = upper_bits(x);
  const __m512 rest = _mm512_sub_ps(x, high);
  const __m512 middle = upper_bits(rest);
  return {_mm512_castps_si512(high), _mm512_castps_si512(middle),
          _mm512_castps_si512(_mm512_sub_ps(rest, middle))};
}

// The first `count` lanes of 16, for any count.
inline __mmask16 lanes(std::int64_t count) {
  if (count <= 0) return 0;
  return count >= kTile ? __mmask16{0xffff} : static_cast<__mmask16>((1U << count) - 1);
}

// A tile of each part; a lane is a pair of neighbours in the summed dimension.
struct TileOfParts {
  __m512i high[kTile], middle[kTile], low[kTile];
};

// Rows become columns.
inline void turn(__m512i (&tile)[kTile]) { transpose(reinterpret_cast<__v16si(&)[kTile]>(tile)); }

// The upper halves of 32 numbers of one row, in order.
inline __m512i narrowed(__m512i first, __m512i second) {
  const __m512i odd =
      _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                       25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_permutex2var_epi16(first, odd, second);
}

// Lane by lane: the upper half of `second` above that of `first`.
inline __m512i paired(__m512i first, __m512i second) {
  constexpr int kMaskedOrThird = 0xEA;  // (a & b) | c
  return _mm512_ternarylogic_epi32(_mm512_set1_epi32(static_cast<int>(0xffff0000U)), second,
                                   _mm512_srli_epi32(first, 16), kMaskedOrThird);
}

// [row][pair]
inline void read_rows(const float* data, std::int64_t stride, std::int64_t rows, std::int64_t depth,
                      TileOfParts& tile) {
  const __mmask16 first = lanes(depth);
  const __mmask16 second = lanes(depth - kTile);
  for (int row = 0; row < kTile; ++row) {
    const bool exists = row < rows;
    const float* from = data + (exists ? row * stride : 0);
    const Parts a = split(_mm512_maskz_loadu_ps(exists ? first : __mmask16{0}, from));
    const Parts b = split(
        _mm512_maskz_loadu_ps(exists ? second : __mmask16{0}, from + (second != 0 ? kTile : 0)));
    tile.high[row] = narrowed(a.high, b.high);
    tile.middle[row] = narrowed(a.middle, b.middle);
    tile.low[row] = narrowed(a.low, b.low);
  }
}

// [pair][row]
inline void read_columns(const float* data, std::int64_t stride, std::int64_t rows,
                         std::int64_t depth, TileOfParts& tile) {
  const __mmask16 mask = lanes(rows);
  for (int pair = 0; pair < kTile; ++pair) {
    const std::int64_t k = std::int64_t{2} * pair;
    const bool has_first = k < depth;
    const bool has_second = k + 1 < depth;
    const Parts a = split(_mm512_maskz_loadu_ps(has_first ? mask : __mmask16{0},
                                                data + (has_first ? k * stride : 0)));
    const Parts b = split(_mm512_maskz_loadu_ps(has_second ? mask : __mmask16{0},
                                                data + (has_second ? (k + 1) * stride : 0)));
    tile.high[pair] = paired(a.high, b.high);
    tile.middle[pair] = paired(a.middle, b.middle);
    tile.low[pair] = paired(a.low, b.low);
  }
}

inline void write(const __m512i* rows, std::byte* to) {
  for (int i = 0; i < kTile; ++i) _mm512_store_si512(to + std::int64_t{64} * i, rows[i]);
}

template <bool kIsLeft, bool kDepthIsContiguous>
void pack_panel(const PanelSource& source, std::byte* panel) {
  TileOfParts tile;
  for (std::int64_t k = 0; k < source.depth; k += kPanelDepth, panel += kPanelStepBytes) {
    for (std::int64_t half = 0; half < 2; ++half) {
      const std::int64_t row = kTile * half;
      const std::int64_t first = row < source.rows ? row : 0;  // Where none is, none is read.
      if constexpr (kDepthIsContiguous) {
        read_rows(source.data + first * source.stride + k, source.stride, source.rows - row,
                  source.depth - k, tile);
      } else {
        read_columns(source.data + k * source.stride + first, source.stride, source.rows - row,
                     source.depth - k, tile);
      }
      // A left tile has a row of the matrix in each of its own, a right one a pair of its columns'
      // numbers.
      if constexpr (kIsLeft != kDepthIsContiguous) {
        turn(tile.high);
        turn(tile.middle);
        turn(tile.low);
      }
      std::byte* to = panel + kTileBytes * half;
      write(tile.high, to);
      write(tile.middle, to + kPart);
      write(tile.low, to + 2 * kPart);
    }
  }
}

// Tiles 0 to 3 are sums (upper left, upper right, lower left, lower right), 4 and 5 the left
// factor's, 6 and 7 the right one's. Both of a factor's tiles are replaced, each as late as its use
// allows, and all sums go on.
constexpr int kTileRow = 64;

CLOZE_TILES inline void multiply_next_left(const std::byte* part) {
  _tile_loadd(4, part, kTileRow);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_loadd(5, part + kTileBytes, kTileRow);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

CLOZE_TILES inline void multiply_next_right(const std::byte* part) {
  _tile_loadd(6, part, kTileRow);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(2, 5, 6);
  _tile_loadd(7, part + kTileBytes, kTileRow);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(3, 5, 7);
}

// Of the nine products of parts the six that reach the last bit of fp32, in an order in which each
// but the first replaces one factor only.
CLOZE_TILES inline void multiply_step(const std::byte* left, const std::byte* right) {
  const std::byte* left_middle = left + kPart;
  const std::byte* right_middle = right + kPart;
  const std::byte* left_low = left_middle + kPart;
  const std::byte* right_low = right_middle + kPart;
  _tile_loadd(4, left, kTileRow);
  _tile_loadd(5, left + kTileBytes, kTileRow);
  multiply_next_right(right_low);     // high x low
  multiply_next_right(right_middle);  // high x middle
  multiply_next_left(left_middle);    // middle x middle
  multiply_next_right(right);         // middle x high
  multiply_next_left(left_low);       // low x high
  multiply_next_left(left);           // high x high
}

CLOZE_TILES inline void store_sums(float* c, std::int64_t stride) {
  const std::int64_t bytes = stride * static_cast<std::int64_t>(sizeof(float));
  float* lower = c + kTile * stride;
  _tile_stored(0, c, bytes);
  _tile_stored(1, c + kTile, bytes);
  _tile_stored(2, lower, bytes);
  _tile_stored(3, lower + kTile, bytes);
}

// What is in the sums' copy goes where it exists.
inline void write_product(const float* sums, const PanelProduct& product) {
  const __mmask16 first = lanes(product.columns);
  const __mmask16 second = lanes(product.columns - kTile);
  const std::int64_t rows = product.rows < kPanelRows ? product.rows : kPanelRows;
  for (std::int64_t row = 0; row < rows; ++row, sums += kPanelRows) {
    float* c = product.c + row * product.stride;
    float* right = c + (second != 0 ? kTile : 0);
    __m512 a = _mm512_load_ps(sums);
    __m512 b = _mm512_load_ps(sums + kTile);
    if (product.add) {
      a = _mm512_add_ps(_mm512_maskz_loadu_ps(first, c), a);
      b = _mm512_add_ps(_mm512_maskz_loadu_ps(second, right), b);
    }
    _mm512_mask_storeu_ps(c, first, a);
    _mm512_mask_storeu_ps(right, second, b);
  }
}

}  // namespace

CLOZE_TILES void set_tiles() {
  // Never on the stack: GCC 12 tells its optimizer that the instruction reads 8 of the 64 bytes.
  _tile_loadconfig(&kEightWholeTiles);
}

CLOZE_TILES void release_tiles() { _tile_release(); }

void pack_left_panel(const PanelSource& source, std::byte* panel) {
  source.depth_is_contiguous ? pack_panel<true, true>(source, panel)
                             : pack_panel<true, false>(source, panel);
}

void pack_right_panel(const PanelSource& source, std::byte* panel) {
  source.depth_is_contiguous ? pack_panel<false, true>(source, panel)
                             : pack_panel<false, false>(source, panel);
}

CLOZE_TILES void multiply_panels(const std::byte* left, const std::byte* right, std::int64_t steps,
                                 const PanelProduct& product) {
  // GCC 12 does not tell its optimizer that a tile's load reads memory.
  asm volatile("" ::: "memory");
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t step = 0; step < steps; ++step) {
    multiply_step(left + step * kPanelStepBytes, right + step * kPanelStepBytes);
  }
  if (!product.add && product.rows >= kPanelRows && product.columns >= kPanelRows) {
    store_sums(product.c, product.stride);
    return;
  }
  alignas(64) float sums[kPanelRows * kPanelRows];
  store_sums(sums, kPanelRows);
  write_product(sums, product);
}

}  // namespace cloze

#endif
