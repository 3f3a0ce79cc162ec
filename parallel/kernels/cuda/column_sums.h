// The last step of sums over rows: partial sums, one row of them a part, are added up.
#pragma once

#include <cstdint>

#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

// total += column sums of parts, in a fixed order. parts [num_parts, columns]; total [columns].
// A: float or double.
template <class A>
void add_column_sums(const A* parts, std::int64_t num_parts, std::int64_t columns, A* total,
                     Stream stream);

}  // namespace cloze::cuda
