// How fast the ranks multiply matrices: what a rank that is slower than the others costs all.
#pragma once

#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// FLOP/s of an fp32 product, measured on all ranks at once.
struct GemmRates {
  std::vector<double> one_thread{};   // By rank.
  std::vector<double> all_threads{};  // By rank.
  std::vector<int> threads{};         // By rank.
};

// cpu.gemm_thread and cpu.gemm_rank.
std::vector<CheckResult> check_gemm(const GemmRates& rates);

// The same, unmeasured: where LibTorch does not work.
std::vector<CheckResult> skip_gemm();

}  // namespace cloze
