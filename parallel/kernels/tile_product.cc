// Which panels are packed when. One factor, the one of fewer panels, is packed for all threads, a
// block at a time; of the other each thread packs a few panels that stay in its core's cache and
// multiplies them by all of the block.
#include "parallel/kernels/tile_product.h"

#ifndef CLOZE_KERNEL_AVX512

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "parallel/base/check.h"
#include "parallel/base/parallel_for.h"
#include "parallel/kernels/instruction_set.h"
#include "parallel/kernels/tile_panels.h"

namespace cloze {
namespace {

// Steps of panels whose products are summed before they are added to c: a shared panel's share of
// them lies in the first-level cache, and a sum of 256 products rounds little.
constexpr std::int64_t kStepsOfSum = 8;
constexpr std::int64_t kMostSharedRows = 2048;
constexpr std::int64_t kDepth = 512;            // Of a block of the shared factor;
constexpr std::int64_t kDepthOfFewRows = 1024;  // when it has but kFewRows.
constexpr std::int64_t kFewRows = 1024;
// A thread's own panels: as many as leave the second-level cache room for the shared ones.
constexpr std::int64_t kMostOwnBytes = 4 * kDepth / kPanelDepth * kPanelStepBytes;
static_assert(kMostOwnBytes >= kDepthOfFewRows / kPanelDepth * kPanelStepBytes);
constexpr std::int64_t kGroupsOfThread = 4;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The order of the work, from the shape and the number of threads that a region started now has.
struct Order {
  explicit Order(const ProductShape& shape)
      : threads(num_threads()),
        shares_rows(shape.rows <= shape.columns),
        shared(std::min(shape.rows, shape.columns)),
        depth(std::min(shape.depth, shared <= kFewRows ? kDepthOfFewRows : kDepth)),
        panel_bytes(ceil_div(depth, kPanelDepth) * kPanelStepBytes),
        own_panels(ceil_div(std::max(shape.rows, shape.columns), kPanelRows)),
        shared_bytes(ceil_div(std::min(shared, kMostSharedRows), kPanelRows) * panel_bytes) {
    const std::int64_t most = std::max<std::int64_t>(1, own_panels / (threads * kGroupsOfThread));
    num_groups = ceil_div(own_panels, std::min(most, kMostOwnBytes / panel_bytes));
    own_bytes = std::min(most * panel_bytes, kMostOwnBytes);
  }

  std::int64_t workspace() const { return shared_bytes + threads * own_bytes; }

  std::int64_t threads;
  bool shares_rows;     // The shared factor is the left one.
  std::int64_t shared;  // Its rows, or columns.
  std::int64_t depth;   // Of a block.
  std::int64_t panel_bytes;
  std::int64_t own_panels;  // Of the other factor.
  std::int64_t num_groups;  // Of them: a thread packs one at a time.
  std::int64_t shared_bytes;
  std::int64_t own_bytes;  // Of a thread; enough also for shapes that are nowhere larger.
};

class TileProduct {
 public:
  TileProduct(const ProductShape& shape, const FloatMatrix& a, const FloatMatrix& b, float* c,
              std::int64_t c_stride, bool add, std::byte* workspace)
      : shape_(shape),
        order_(shape),
        a_(a),
        b_(b),
        c_(c),
        c_stride_(c_stride),
        add_(add),
        shared_panels_(workspace),
        own_panels_(workspace + order_.shared_bytes) {}

  void run() const {
    for (std::int64_t k = 0; k < shape_.depth; k += order_.depth) {
      for (std::int64_t first = 0; first < order_.shared; first += kMostSharedRows) {
        multiply_block(first, std::min(kMostSharedRows, order_.shared - first), k,
                       std::min(order_.depth, shape_.depth - k));
      }
    }
  }

 private:
  void pack(bool left, std::int64_t first, std::int64_t k, std::int64_t depth,
            std::byte* panel) const {
    if (left) {
      pack_left_panel({.data = a_.data + first * a_.row_stride + k * a_.column_stride,
                       .stride = a_.column_stride == 1 ? a_.row_stride : a_.column_stride,
                       .depth_is_contiguous = a_.column_stride == 1,
                       .rows = shape_.rows - first,
                       .depth = depth},
                      panel);
    } else {
      pack_right_panel({.data = b_.data + k * b_.row_stride + first * b_.column_stride,
                        .stride = b_.column_stride == 1 ? b_.row_stride : b_.column_stride,
                        .depth_is_contiguous = b_.column_stride != 1,
                        .rows = shape_.columns - first,
                        .depth = depth},
                       panel);
    }
  }

  // `count` rows or columns of the shared factor, from `first` on, over `depth` numbers from k on.
  void multiply_block(std::int64_t first, std::int64_t count, std::int64_t k,
                      std::int64_t depth) const {
    const std::int64_t shared_count = ceil_div(count, kPanelRows);
    parallel_each(shared_count, [&](std::int64_t panel, int /*thread*/) {
      pack(order_.shares_rows, first + panel * kPanelRows, k, depth,
           shared_panels_ + panel * order_.panel_bytes);
    });
    parallel_each(order_.num_groups, [&](std::int64_t item, int thread) {
      const std::int64_t begin = item * order_.own_panels / order_.num_groups;
      const std::int64_t end = (item + 1) * order_.own_panels / order_.num_groups;
      std::byte* own = own_panels_ + thread * order_.own_bytes;
      for (std::int64_t panel = begin; panel < end; ++panel) {
        pack(!order_.shares_rows, panel * kPanelRows, k, depth,
             own + (panel - begin) * order_.panel_bytes);
      }
      set_tiles();
      for (std::int64_t panel = 0; panel < shared_count; ++panel) {
        multiply_group(shared_panels_ + panel * order_.panel_bytes, first + panel * kPanelRows, own,
                       begin, end, k, depth);
      }
      release_tiles();
    });
  }

  // A shared panel by a thread's own ones.
  void multiply_group(const std::byte* shared, std::int64_t shared_first, const std::byte* own,
                      std::int64_t begin, std::int64_t end, std::int64_t k,
                      std::int64_t depth) const {
    const std::int64_t steps = ceil_div(depth, kPanelDepth);
    for (std::int64_t step = 0; step < steps; step += kStepsOfSum) {
      const std::byte* x = shared + step * kPanelStepBytes;
      for (std::int64_t panel = begin; panel < end; ++panel) {
        const std::byte* y = own + (panel - begin) * order_.panel_bytes + step * kPanelStepBytes;
        const std::int64_t row = order_.shares_rows ? shared_first : panel * kPanelRows;
        const std::int64_t column = order_.shares_rows ? panel * kPanelRows : shared_first;
        multiply_panels(order_.shares_rows ? x : y, order_.shares_rows ? y : x,
                        std::min(kStepsOfSum, steps - step),
                        {.c = c_ + row * c_stride_ + column,
                         .stride = c_stride_,
                         .rows = shape_.rows - row,
                         .columns = shape_.columns - column,
                         .add = add_ || k + step > 0});
      }
    }
  }

  const ProductShape shape_;
  const Order order_;
  const FloatMatrix a_, b_;
  float* const c_;
  const std::int64_t c_stride_;
  const bool add_;
  std::byte* const shared_panels_;
  std::byte* const own_panels_;  // Of one thread after the other.
};

bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of <asm/prctl.h>
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool has_tile_unit() {
  static const bool has = [] {
    const CpuFeatures features = cpu_features();
    return choose_instruction_set(features) == InstructionSet::kAvx512 && features.amx_tile &&
           features.amx_bf16 && may_use_tiles();
  }();
  return has;
}

bool fills_tiles(const ProductShape& shape) {
  constexpr std::int64_t kLeast = kPanelRows;
  constexpr std::int64_t kLeastProducts = std::int64_t{1} << 22;
  return shape.rows >= kLeast && shape.columns >= kLeast && shape.depth >= kLeast &&
         shape.rows * shape.columns * shape.depth >= kLeastProducts;
}

std::int64_t tile_product_workspace(const ProductShape& shape) {
  const std::int64_t bytes = Order(shape).workspace();
  const std::int64_t shared = std::min(shape.rows, shape.columns);
  if (shared <= kFewRows) return bytes;
  // A shape of fewer rows has deeper blocks.
  return std::max(bytes, Order({.rows = kFewRows,
                                .columns = std::max(shape.rows, shape.columns),
                                .depth = shape.depth})
                             .workspace());
}

void tile_product(const ProductShape& shape, const FloatMatrix& a, const FloatMatrix& b, float* c,
                  std::int64_t c_stride, bool add, void* workspace) {
  CLOZE_CHECK(has_tile_unit(), "a product on tiles that this process has not",
              "ask has_tile_unit() before");
  CLOZE_CHECK(shape.rows > 0 && shape.columns > 0 && shape.depth > 0,
              "a product of nothing on tiles", "ask fills_tiles() before");
  TileProduct(shape, a, b, c, c_stride, add, static_cast<std::byte*>(workspace)).run();
}

}  // namespace cloze

#endif
