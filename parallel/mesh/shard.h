// Which part of a global tensor a rank holds. Written once, where a layer is built; read by
// initialisation, checkpoints, resharding, gradient norms and export.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cloze {

using Shape = std::vector<std::int64_t>;

std::int64_t num_elements(const Shape& shape);

// The box [offset, offset + shape) of a tensor of shape `global`.
struct Box {
  Shape global;
  Shape offset;
  Shape shape;

  static Box whole(const Shape& global);
  // The whole tensor but for dim `dim`, of which it holds [first, first + count).
  static Box cut(const Shape& global, std::int64_t dim, std::int64_t first, std::int64_t count);

  bool is_whole() const { return shape == global; }
  std::int64_t elements() const { return num_elements(shape); }
  // Rows [first, first + count) of dim 0 of this box.
  Box rows(std::int64_t first, std::int64_t count) const;
  auto operator<=>(const Box&) const = default;
};

// [first, last) of part `index` of `parts` when `total` items are cut as evenly as possible,
// the larger parts first. Vocabularies and rows that do not divide go through here.
struct Range {
  std::int64_t first;
  std::int64_t last;
  std::int64_t count() const { return last - first; }
  auto operator<=>(const Range&) const = default;
};
Range part_of(std::int64_t total, std::int64_t parts, std::int64_t index);

}  // namespace cloze
