// `cloze launch` restarts a run that ends with kTransient alone. The numbers are those of CUDA's
// driver_types.h.
#include "parallel/device/cuda_error.h"

#include <gtest/gtest.h>

#include <string>

namespace cloze {
namespace {

constexpr int kCannotInitialize = 3;
constexpr int kDevicesUnavailable = 46;
constexpr int kUncorrectableMemory = 214;
constexpr int kIllegalAddress = 700;
constexpr int kLaunchTimeout = 702;
constexpr int kUnknown = 999;

std::string fix(int error) { return fix_of_cuda_error(error); }

TEST(CudaErrorTest, AWrongLaunchIsABugThatNoRestartMends) {
  for (const int error : {1, 9, 701}) {
    EXPECT_EQ(code_of_cuda_error(error), ExitCode::kInternal) << error;
    EXPECT_NE(fix(error).find("report this"), std::string::npos) << fix(error);
  }
}

TEST(CudaErrorTest, AnErrorOfTheGpuIsWorthARestart) {
  for (const int error : {kCannotInitialize, kDevicesUnavailable, kUncorrectableMemory,
                          kIllegalAddress, kLaunchTimeout, kCudaLaunchFailure, kUnknown, 123456}) {
    EXPECT_EQ(code_of_cuda_error(error), ExitCode::kTransient) << error;
    EXPECT_NE(fix(error).find("last checkpoint"), std::string::npos) << fix(error);
  }
}

TEST(CudaErrorTest, AGpuThatTheKernelsWereNotBuiltForIsTheUsersToMend) {
  for (const int error : {98, 209, 218, 221, 222, 223}) {
    EXPECT_EQ(code_of_cuda_error(error), ExitCode::kUsage) << error;
    EXPECT_NE(fix(error).find("CLOZE_CUDA_ARCHITECTURES"), std::string::npos) << fix(error);
  }
}

TEST(CudaErrorTest, AMachineWithoutAGpuIsTheUsersToMend) {
  for (const int error : {34, 35, 100, 803, 804}) {
    EXPECT_EQ(code_of_cuda_error(error), ExitCode::kUsage) << error;
    EXPECT_NE(fix(error).find("nvidia-smi"), std::string::npos) << fix(error);
  }
}

TEST(CudaErrorTest, AJobThatDoesNotFitTheGpuIsTheUsersToMend) {
  EXPECT_EQ(code_of_cuda_error(kCudaMemoryAllocation), ExitCode::kUsage);
  EXPECT_NE(fix(kCudaMemoryAllocation).find("batch.micro_size"), std::string::npos);
}

}  // namespace
}  // namespace cloze
