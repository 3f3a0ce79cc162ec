// Which source a row comes from, in closed form, so that any ordinal is reached at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cloze {

// The k-th row of source s is ordinal n: a one-to-one map.
struct MixturePlace {
  std::int64_t source = 0;
  std::int64_t position = 0;  // k

  bool operator==(const MixturePlace&) const = default;
};

// Halves the list of sources again and again; at each fork, of the first n rows floor(n b / (a+b))
// go to the right half, b and a being the halves' weights. So every prefix of the stream holds
// each source's share up to one row per fork.
class Mixture {
 public:
  // Weights are relative; they become integers of 32 bits. kUsage when one is negative or not
  // finite, or when their sum is zero. A weight of zero takes the source out.
  explicit Mixture(std::span<const double> weights);

  std::int64_t num_sources() const { return static_cast<std::int64_t>(sums_.size()) - 1; }
  MixturePlace place(std::int64_t ordinal) const;
  // Rows of a source among the ordinals below `ordinal`.
  std::int64_t rows_before(std::int64_t source, std::int64_t ordinal) const;

 private:
  std::int64_t weight(std::int64_t first, std::int64_t last) const {
    return sums_[static_cast<std::size_t>(last)] - sums_[static_cast<std::size_t>(first)];
  }

  std::vector<std::int64_t> sums_;  // [sources + 1], of the integer weights.
};

}  // namespace cloze
