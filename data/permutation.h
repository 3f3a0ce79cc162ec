// A permutation of 0 .. size - 1 that is computed, not stored: a Feistel network over the bits of
// size - 1, walked along its cycle until it lands inside (Black and Rogaway 2002, "Ciphers with
// arbitrary finite domains"). Constant time and memory at any index.
#pragma once

#include <cstdint>

#include "parallel/base/random.h"

namespace cloze {

class Permutation {
 public:
  // size in [1, 2^62]. `key` names the permutation; its layer is used for the rounds.
  Permutation(std::int64_t size, const RandomKey& key);

  std::int64_t size() const { return size_; }
  std::int64_t operator()(std::int64_t index) const;

 private:
  std::uint64_t encrypt(std::uint64_t value) const;

  std::int64_t size_;
  RandomKey key_;
  int left_bits_;
  int right_bits_;
};

}  // namespace cloze
