// Random numbers of the streams of parallel/base/random.h, inside kernels.
#pragma once

#include <cstdint>

#include "parallel/base/random.h"
#include "parallel/kernels/cuda/device.h"

namespace cloze::cuda {

template <int N>
struct RandomBits {
  std::uint32_t at[N];
};

// Numbers [element, element + N) of the stream. N is 1; or 2, of an even element; or a multiple of
// 4, of an element that is one.
template <int N>
__device__ inline RandomBits<N> random_bits_of(const RandomKey& key, std::uint64_t element) {
  static_assert(N == 1 || N == 2 || N % 4 == 0);
  RandomBits<N> bits;
  if constexpr (N % 4 == 0) {
    CLOZE_UNROLL
    for (int group = 0; group < N / 4; ++group) {
      const PhiloxBlock block = random_block(key, element / 4 + group);
      CLOZE_UNROLL
      for (int i = 0; i < 4; ++i) bits.at[4 * group + i] = block[i];
    }
  } else {
    // Chosen without an index, which would put the block into memory.
    const PhiloxBlock block = random_block(key, element / 4);
    const bool upper = element % 4 >= 2;
    const std::uint32_t even = upper ? block[2] : block[0];
    const std::uint32_t odd = upper ? block[3] : block[1];
    if constexpr (N == 1) {
      bits.at[0] = element % 2 == 0 ? even : odd;
    } else {
      bits.at[0] = even;
      bits.at[1] = odd;
    }
  }
  return bits;
}

}  // namespace cloze::cuda
