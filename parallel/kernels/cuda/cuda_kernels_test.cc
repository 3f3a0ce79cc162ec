// The GPU kernels, run by the emulator, against the CPU kernels: the checks of a real GPU's test
// program. The two runs of a check have their threads in different orders, and must give the same
// bits; a sanitizer sees one of them, and two storage types.
#include <gtest/gtest.h>

#include "parallel/kernels/cuda/emulator.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

using Checks = void (*)(CheckReport&);

struct Family {
  const char* name;
  Checks checks;
};

class CudaKernelsTest : public testing::TestWithParam<Family> {};

TEST_P(CudaKernelsTest, ComputeWhatTheCpuDoes) {
#if defined(__SANITIZE_ADDRESS__)
  const bool quick = true;
#else
  const bool quick = false;
#endif
  CheckReport report(
      [](const CheckOutcome& outcome) {
        EXPECT_TRUE(outcome.passed) << outcome.name << ": " << outcome.detail;
      },
      quick, [](int run) { cuda::emulator::set_seed(static_cast<std::uint64_t>(run) + 1); });
  GetParam().checks(report);
  EXPECT_GT(report.passed(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Families, CudaKernelsTest,
    testing::Values(Family{"Norms", &check_norms}, Family{"Activations", &check_activations},
                    Family{"Biases", &check_biases}, Family{"Rotary", &check_rotary},
                    Family{"Casts", &check_casts}, Family{"Embeddings", &check_embeddings},
                    Family{"Dropout", &check_dropout}, Family{"CrossEntropy", &check_cross_entropy},
                    Family{"AdamW", &check_adamw}, Family{"Sums", &check_sums},
                    Family{"Values", &check_values}, Family{"Attention", &check_attention}),
    [](const testing::TestParamInfo<Family>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace cloze
