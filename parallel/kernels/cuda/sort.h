// Sorts whole numbers on the GPU.
#pragma once

#include <cstdint>

#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

// Elements that sort_keys takes for `count` of them: a power of two.
std::int64_t sorted_size(std::int64_t count);

// Puts keys [size] in rising order; size is from sorted_size. Equal keys cannot be told apart, so
// the result is the same on every run.
void sort_keys(std::uint64_t* keys, std::int64_t size, Stream stream);

}  // namespace cloze::cuda
