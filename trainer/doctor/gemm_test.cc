// Slow ranks, and threads that get in each other's way.
#include "trainer/doctor/gemm.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

TEST(GemmTest, EqualRanksAreFine) {
  const auto checks = check_gemm({{50e9, 52e9}, {99e9, 101e9}, {2, 2}});
  ASSERT_EQ(checks.size(), 2U);
  EXPECT_EQ(checks[0].name, "cpu.gemm_thread");
  EXPECT_EQ(checks[0].status, Status::kOk);
  EXPECT_EQ(checks[1].status, Status::kOk);
  EXPECT_EQ(checks[1].detail,
            "2 threads a rank; min 99.0 GFLOP/s (rank 0), median 100 GFLOP/s, max 101 GFLOP/s");
  EXPECT_EQ(check_gemm({{50e9}, {50e9}, {1}})[1].detail, "1 thread a rank");
}

TEST(GemmTest, ASlowRankIsNamed) {
  const auto checks = check_gemm({{50e9, 50e9, 30e9}, {50e9, 50e9, 30e9}, {1, 1, 1}});
  EXPECT_EQ(checks[0].status, Status::kWarn);
  EXPECT_NE(checks[0].fix.find("rank 2"), std::string::npos) << checks[0].fix;
}

TEST(GemmTest, ThreadsThatShareACoreAreWarnedOf) {
  const auto checks = check_gemm({{50e9}, {48e9}, {2}});
  EXPECT_EQ(checks[0].status, Status::kOk);
  EXPECT_EQ(checks[1].status, Status::kWarn);
  EXPECT_NE(checks[1].detail.find("rank 0"), std::string::npos) << checks[1].detail;
}

}  // namespace
}  // namespace cloze
