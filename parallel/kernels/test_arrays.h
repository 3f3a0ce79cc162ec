// Comparisons of the kernel tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel/base/parallel_for.h"
#include "parallel/kernels/test_values.h"

namespace cloze {

// Each element within `allowed` times the larger of 1 and the expected magnitude.
template <class T>
void expect_close(const std::vector<T>& actual, const std::vector<double>& expected,
                  double allowed) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double limit = allowed * std::max(1.0, std::abs(expected[i]));
    ASSERT_NEAR(to_double(actual[i]), expected[i], limit) << "element " << i;
  }
}

// `run` gives its outputs as one vector; they must not depend on the number of threads.
template <class Run>
void expect_same_bits_on_any_threads(const Run& run) {
#ifdef _OPENMP
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto expected = run();
  for (const int threads : {2, 3}) {
    omp_set_num_threads(threads);
    EXPECT_TRUE(same_bits(run(), expected)) << threads << " threads";
  }
  omp_set_num_threads(before);
#else
  run();
#endif
}

}  // namespace cloze
