#include "parallel/mesh/shard.h"

#include <algorithm>

#include "parallel/base/check.h"

namespace cloze {

std::int64_t num_elements(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

Box Box::whole(const Shape& global) { return {global, Shape(global.size(), 0), global}; }

Box Box::cut(const Shape& global, std::int64_t dim, std::int64_t first, std::int64_t count) {
  Box box = whole(global);
  box.offset.at(dim) = first;
  box.shape.at(dim) = count;
  return box;
}

Box Box::rows(std::int64_t first, std::int64_t count) const {
  CLOZE_CHECK(!shape.empty() && first >= 0 && count >= 0 && first + count <= shape[0],
              str("rows ", first, " + ", count, " are not in the box"), "cut inside the box");
  Box part = *this;
  part.offset[0] += first;
  part.shape[0] = count;
  return part;
}

Range part_of(std::int64_t total, std::int64_t parts, std::int64_t index) {
  const std::int64_t base = total / parts;
  const std::int64_t larger = total % parts;
  const std::int64_t first = index * base + std::min(index, larger);
  return {first, first + base + (index < larger ? 1 : 0)};
}

}  // namespace cloze
