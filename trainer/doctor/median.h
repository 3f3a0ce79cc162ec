// The median of measured times and rates.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

namespace cloze {

// The upper one of an even count; of one number at least.
inline double median_of(std::vector<double> numbers) {
  const auto middle = numbers.begin() + std::ssize(numbers) / 2;
  std::ranges::nth_element(numbers, middle);
  return *middle;
}

}  // namespace cloze
