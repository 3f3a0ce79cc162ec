// The inner half of tile_product(): panels of a factor, and the products of two, on the tile unit
// (AMX, https://www.intel.com/content/www/us/en/docs/intrinsics-guide, group AMX).
//
// A panel holds kPanelRows rows of the left factor, or as many columns of the right one, over some
// steps of kPanelDepth of the dimension that is summed. Each step lies in one piece: two tiles of
// the highest parts of the numbers, two of the middle, two of the lowest; what is beyond the
// matrix is 0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cloze {

constexpr std::int64_t kPanelRows = 32;
constexpr std::int64_t kPanelDepth = 32;
// Three bfloat16 numbers for each fp32.
constexpr std::int64_t kPanelStepBytes = 3 * kPanelRows * kPanelDepth * 2;

// Where a panel comes from: element (row, k) is data[row * stride + k] when the summed dimension is
// contiguous, and data[k * stride + row] otherwise.
struct PanelSource {
  const float* data;
  std::int64_t stride;
  bool depth_is_contiguous;
  std::int64_t rows;   // At most kPanelRows of them are taken.
  std::int64_t depth;  // Numbers to sum over.
};

// The calling thread's tiles: set before multiply_panels(), given back when no more comes.
void set_tiles();
void release_tiles();

// `panel` has (depth + 31) / 32 steps, on a boundary of 64 bytes.
void pack_left_panel(const PanelSource& source, std::byte* panel);
void pack_right_panel(const PanelSource& source, std::byte* panel);

// Where the product of two panels goes: c[row * stride + column], for the rows and columns that
// exist.
struct PanelProduct {
  float* c;
  std::int64_t stride;
  std::int64_t rows;  // At most kPanelRows of them are written; of columns as well.
  std::int64_t columns;
  bool add;  // To what c holds.
};

void multiply_panels(const std::byte* left, const std::byte* right, std::int64_t steps,
                     const PanelProduct& product);

}  // namespace cloze
