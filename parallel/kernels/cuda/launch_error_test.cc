// With which exit code a run ends after a launch that failed: `cloze launch` restarts it after
// kTransient alone. The numbers are those of CUDA's driver_types.h.
#include "parallel/kernels/cuda/launch_error.h"

#include <gtest/gtest.h>

#include <string>

namespace cloze::cuda {
namespace {

constexpr int kCannotInitialize = 3;
constexpr int kDevicesUnavailable = 46;
constexpr int kUncorrectableMemory = 214;
constexpr int kIllegalAddress = 700;
constexpr int kLaunchTimeout = 702;
constexpr int kLaunchFailure = 719;
constexpr int kUnknown = 999;

Error error_of(int number) {
  try {
    fail_launch(number, "a kernel was to start", "its words", "norm.cu", 12);
  } catch (const Error& error) {
    return error;
  }
}

TEST(LaunchErrorTest, AWrongLaunchIsABugThatNoRestartMends) {
  for (const int number : {1, 9, 701}) {
    const Error error = error_of(number);
    EXPECT_EQ(error.code(), ExitCode::kInternal) << number;
    EXPECT_NE(error.problem().find("norm.cu:12"), std::string::npos) << error.problem();
  }
}

TEST(LaunchErrorTest, AnErrorOfTheGpuIsWorthARestart) {
  for (const int number : {kCannotInitialize, kDevicesUnavailable, kUncorrectableMemory,
                           kIllegalAddress, kLaunchTimeout, kLaunchFailure, kUnknown, 123456}) {
    EXPECT_EQ(error_of(number).code(), ExitCode::kTransient) << number;
  }
}

TEST(LaunchErrorTest, AGpuThatTheKernelsWereNotBuiltForIsTheUsersToMend) {
  for (const int number : {98, 209, 218, 221, 222, 223}) {
    const Error error = error_of(number);
    EXPECT_EQ(error.code(), ExitCode::kUsage) << number;
    EXPECT_NE(error.fix().find("CLOZE_CUDA_ARCHITECTURES"), std::string::npos) << error.fix();
  }
}

TEST(LaunchErrorTest, AJobThatDoesNotFitTheGpuIsTheUsersToMend) {
  const Error error = error_of(2);
  EXPECT_EQ(error.code(), ExitCode::kUsage) << "no restart helps";
  EXPECT_NE(error.fix().find("batch.micro_size"), std::string::npos) << error.fix();
}

TEST(LaunchErrorTest, SaysWhatCudaSays) {
  EXPECT_EQ(error_of(kLaunchFailure).problem(),
            "a kernel was to start: CUDA says 'its words' (719)");
}

}  // namespace
}  // namespace cloze::cuda
