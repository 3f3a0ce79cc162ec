// Which elements two boxes of a tensor share, as runs that are contiguous in both.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "parallel/mesh/shard.h"

namespace cloze {

struct Run {
  std::int64_t source;  // First element, counted in the source box, row-major.
  std::int64_t target;  // The same element, counted in the target box.
  std::int64_t count;   // Elements.
};

inline std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

// Calls visit(run) for each run, in the order of the source's elements. Both boxes have the same
// global shape.
template <typename Visit>
void for_each_common_run(const Box& source, const Box& target, const Visit& visit) {
  const std::size_t dims = source.global.size();
  Shape first(dims);  // The intersection: its offset ...
  Shape shape(dims);  // ... and its shape.
  for (std::size_t dim = 0; dim < dims; ++dim) {
    first[dim] = std::max(source.offset[dim], target.offset[dim]);
    const std::int64_t end =
        std::min(source.offset[dim] + source.shape[dim], target.offset[dim] + target.shape[dim]);
    shape[dim] = end - first[dim];
    if (shape[dim] <= 0) return;
  }
  // Inner dims that both boxes hold whole join into one run with the dim before them.
  std::size_t outer = dims;
  std::int64_t count = 1;
  while (outer > 0) {
    --outer;
    count *= shape[outer];
    if (shape[outer] != source.shape[outer] || shape[outer] != target.shape[outer]) break;
  }
  Shape index(outer, 0);  // Within the intersection, of the dims before the run's.
  while (true) {
    Run run{0, 0, count};
    for (std::size_t dim = 0; dim < dims; ++dim) {
      const std::int64_t at = first[dim] + (dim < outer ? index[dim] : 0);
      run.source = run.source * source.shape[dim] + (at - source.offset[dim]);
      run.target = run.target * target.shape[dim] + (at - target.offset[dim]);
    }
    visit(run);
    std::size_t dim = outer;
    while (dim > 0 && ++index[dim - 1] == shape[dim - 1]) index[--dim] = 0;
    if (dim == 0) return;
  }
}

}  // namespace cloze
