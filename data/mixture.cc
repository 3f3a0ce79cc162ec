// Integer weights and the forks over halves of the sources.
#include "data/mixture.h"

#include <algorithm>
#include <cmath>

#include "parallel/base/check.h"

namespace cloze {

namespace {

// How many of the first n rows of a fork go right.
std::int64_t right_rows(std::int64_t n, std::int64_t right, std::int64_t total) {
  return static_cast<std::int64_t>(static_cast<__int128>(n) * right / total);
}

}  // namespace

Mixture::Mixture(std::span<const double> weights) {
  CLOZE_REQUIRE(!weights.empty(), ExitCode::kUsage, "there is no data source",
                "name at least one under data.train");
  CLOZE_REQUIRE(weights.size() <= 65536, ExitCode::kUsage,
                str("there are ", weights.size(), " data sources"), "give at most 65536");
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CLOZE_REQUIRE(std::isfinite(weights[i]) && weights[i] >= 0, ExitCode::kUsage,
                  str("the weight of data source ", i + 1, " is ", weights[i]),
                  "give a finite number that is not negative");
    sum += weights[i];
  }
  CLOZE_REQUIRE(std::isfinite(sum) && sum > 0, ExitCode::kUsage,
                str("the weights of the data sources sum to ", sum),
                "give at least one source a weight above 0");
  sums_.push_back(0);
  for (const double weight : weights) {
    // A source that is wanted at all gets rows, however small its weight.
    const auto share = static_cast<std::int64_t>(std::llround(weight / sum * 0x1p32));
    sums_.push_back(sums_.back() + (weight > 0 ? std::max<std::int64_t>(share, 1) : 0));
  }
}

MixturePlace Mixture::place(std::int64_t ordinal) const {
  std::int64_t first = 0;
  std::int64_t last = num_sources();
  std::int64_t n = ordinal;
  while (last - first > 1) {
    const std::int64_t middle = first + ((last - first) / 2);
    const std::int64_t total = weight(first, last);
    const std::int64_t right = weight(middle, last);
    const std::int64_t before = right_rows(n, right, total);
    if (right_rows(n + 1, right, total) > before) {
      first = middle;
      n = before;
    } else {
      last = middle;
      n -= before;
    }
  }
  return {.source = first, .position = n};
}

std::int64_t Mixture::rows_before(std::int64_t source, std::int64_t ordinal) const {
  std::int64_t first = 0;
  std::int64_t last = num_sources();
  std::int64_t n = ordinal;
  while (last - first > 1) {
    const std::int64_t middle = first + ((last - first) / 2);
    if (weight(first, last) == 0) return 0;
    const std::int64_t right = right_rows(n, weight(middle, last), weight(first, last));
    if (source >= middle) {
      first = middle;
      n = right;
    } else {
      last = middle;
      n -= right;
    }
  }
  return n;
}

}  // namespace cloze
