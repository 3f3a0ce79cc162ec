#include "trainer/checkpoint/coverage.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// More corners than this are no layout of ours.
constexpr std::size_t kMaxCorners = 1 << 21;

bool is_inside(const Box& box) {
  const std::size_t dims = box.global.size();
  if (box.offset.size() != dims || box.shape.size() != dims) return false;
  for (std::size_t dim = 0; dim < dims; ++dim) {
    if (box.offset[dim] < 0 || box.shape[dim] < 1 || box.offset[dim] >= box.global[dim] ||
        box.shape[dim] > box.global[dim] - box.offset[dim]) {
      return false;
    }
  }
  return true;
}

// The corners of a box along the cut dims, `count` to each, with the sign of its indicator
// function's mixed difference: + where it begins, - behind its end, multiplied over dims.
void add_corners(const Box& box, std::span<const std::size_t> cut_dims, int sign,
                 std::vector<std::pair<Shape, int>>& corners) {
  for (std::size_t pattern = 0; pattern < (std::size_t{1} << cut_dims.size()); ++pattern) {
    Shape corner;
    int corner_sign = sign;
    for (std::size_t place = 0; place < cut_dims.size(); ++place) {
      const std::size_t dim = cut_dims[place];
      const bool behind = (pattern >> place & 1) != 0;
      corner.push_back(box.offset[dim] + (behind ? box.shape[dim] : 0));
      if (behind) corner_sign = -corner_sign;
    }
    corners.emplace_back(std::move(corner), corner_sign);
  }
}

}  // namespace

// Boxes tile the tensor exactly when the sum of their indicator functions is the tensor's own.
// The mixed difference over all dims loses nothing of a function with finite support, and the
// difference of a box is its 2^dims signed corners: so the signed corners of all boxes must
// cancel but for those of the whole.
std::string coverage_problem(std::span<const Box> boxes) {
  if (boxes.empty()) return "no part of it is there";
  const Shape& global = boxes.front().global;
  for (const Box& box : boxes) {
    if (box.global != global) return "its parts have different global shapes";
    if (!is_inside(box)) return "a part of it is empty or reaches outside";
  }
  std::vector<std::size_t> cut_dims;
  for (std::size_t dim = 0; dim < global.size(); ++dim) {
    const bool cut = std::any_of(boxes.begin(), boxes.end(),
                                 [&](const Box& box) { return box.shape[dim] != global[dim]; });
    if (cut) cut_dims.push_back(dim);
  }
  if (cut_dims.size() > 8 || boxes.size() > (kMaxCorners >> cut_dims.size())) {
    return "it is cut in too many parts";
  }
  std::vector<std::pair<Shape, int>> corners;
  corners.reserve((boxes.size() + 1) << cut_dims.size());
  for (const Box& box : boxes) add_corners(box, cut_dims, 1, corners);
  add_corners(Box::whole(global), cut_dims, -1, corners);
  std::sort(corners.begin(), corners.end());
  for (std::size_t first = 0; first < corners.size();) {
    std::int64_t sum = 0;
    std::size_t last = first;
    for (; last < corners.size() && corners[last].first == corners[first].first; ++last) {
      sum += corners[last].second;
    }
    if (sum != 0) {
      std::string place;
      for (const std::int64_t at : corners[first].first) {
        place += (place.empty() ? "" : ",") + std::to_string(at);
      }
      return str("its parts leave a gap or overlap near ", place.empty() ? "the start" : place);
    }
    first = last;
  }
  return {};
}

}  // namespace cloze
