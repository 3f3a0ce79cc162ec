// The median of measured times and rates.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

namespace cloze {

// The mean of the middle two of an even count; of one number at least.
inline double median_of(std::vector<double> numbers) {
  std::ranges::sort(numbers);
  const auto upper = numbers.begin() + std::ssize(numbers) / 2;
  return std::ssize(numbers) % 2 == 1 ? *upper : (*upper + *std::prev(upper)) / 2;
}

}  // namespace cloze
