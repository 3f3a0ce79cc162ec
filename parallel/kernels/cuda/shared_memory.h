// How much shared memory there is.
#pragma once

#include <cstddef>

namespace cloze::cuda {

// Of a block, static and dynamic together, on every GPU from compute capability 8.0 on: 8.6, 8.9
// and 12.x have this much, 8.0 has 163 KiB, 9.0 and 10.0 have 227.
constexpr std::size_t kSharedOfEveryGpu = std::size_t{99} * 1024;

}  // namespace cloze::cuda
