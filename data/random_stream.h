// Reads the numbers of a key one after another, a Philox block at a time.
#pragma once

#include <cstdint>

#include "parallel/base/random.h"

namespace cloze {

class RandomStream {
 public:
  // Starts at element 4 * first_group of the stream.
  explicit RandomStream(const RandomKey& key, std::uint64_t first_group = 0)
      : key_(key), group_(first_group) {}

  std::uint32_t next() {
    if (lane_ == 4) {
      block_ = random_block(key_, group_++);
      lane_ = 0;
    }
    return block_[lane_++];
  }

  // Uniform in [0, bound), bound >= 1, by multiply-high: bias < bound / 2^32.
  std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>((std::uint64_t{next()} * bound) >> 32);
  }

 private:
  RandomKey key_;
  std::uint64_t group_;
  PhiloxBlock block_{};
  unsigned lane_ = 4;
};

}  // namespace cloze
