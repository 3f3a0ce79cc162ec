// The Feistel rounds and the walk along the cycle.
#include "data/permutation.h"

#include <algorithm>
#include <bit>

#include "parallel/base/check.h"

namespace cloze {

namespace {

// Even, so that the halves end where they began. Small domains need many to be even-handed.
constexpr int kRounds = 12;

}  // namespace

Permutation::Permutation(std::int64_t size, const RandomKey& key) : size_(size), key_(key) {
  CLOZE_CHECK(size >= 1 && size <= (std::int64_t{1} << 62), str("a permutation of ", size),
              "give a size from 1 to 2^62");
  // At least two bits, one for each half; at most half of the walk's steps land outside.
  const int bits =
      std::max(2, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(size - 1))));
  left_bits_ = bits / 2;
  right_bits_ = bits - left_bits_;
}

std::int64_t Permutation::operator()(std::int64_t index) const {
  CLOZE_CHECK(index >= 0 && index < size_, str("index ", index, " of a permutation of ", size_),
              "give an index inside");
  const auto size = static_cast<std::uint64_t>(size_);
  std::uint64_t value = encrypt(static_cast<std::uint64_t>(index));
  while (value >= size) value = encrypt(value);
  return static_cast<std::int64_t>(value);
}

std::uint64_t Permutation::encrypt(std::uint64_t value) const {
  // The halves may differ by a bit: the rounds take turns in changing one by the other.
  std::uint64_t left = value >> right_bits_;
  std::uint64_t right = value & ((std::uint64_t{1} << right_bits_) - 1);
  RandomKey key = key_;
  for (int round = 0; round < kRounds; ++round) {
    key.layer = static_cast<std::uint32_t>(round);
    const bool to_left = round % 2 == 0;
    const std::uint64_t bits = random_block(key, to_left ? right : left)[0];
    std::uint64_t& changed = to_left ? left : right;
    changed ^= bits & ((std::uint64_t{1} << (to_left ? left_bits_ : right_bits_)) - 1);
  }
  return (left << right_bits_) | right;
}

}  // namespace cloze
