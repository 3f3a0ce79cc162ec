#include "trainer/cli/gpu_job.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "tests/support/run_ranks.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/numerics.h"

namespace cloze {
namespace {

template <int version>
NcclLibrary nccl_of() {
  NcclLibrary nccl{};
  nccl.get_version = [](int* told) {
    *told = version;
    return kNcclSuccess;
  };
  return nccl;
}

// Before NCCL is started: none of its other functions is there.
TEST(GpuJobTest, RanksOnOneGpuNeedAnNcclThatCarriesBetweenThem) {
  run_ranks(3, [](LocalWorld& ranks, int rank) {
    const auto world = ranks.communicator("world", ranks.everyone(), rank);
    const CudaUuid own = {static_cast<char>(rank)};
    const CudaUuid shared = {static_cast<char>(rank / 2)};
    check_ranks_of_one_gpu(*world, nccl_of<22809>(), own);
    check_ranks_of_one_gpu(*world, nccl_of<23000>(), shared);
    try {
      check_ranks_of_one_gpu(*world, nccl_of<22809>(), shared);
      ADD_FAILURE() << "rank " << rank;
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage) << "no restart helps";
      EXPECT_NE(error.problem().find("NCCL 2.28.9"), std::string::npos) << error.what();
      EXPECT_NE(error.fix().find("2.30.0"), std::string::npos) << error.what();
    }
  });
}

CudaRuntime runtime_of_13() {
  CudaRuntime cuda{};
  cuda.runtime_version = [](int* version) {
    *version = 13000;
    return kCudaSuccess;
  };
  cuda.driver_version = cuda.runtime_version;
  return cuda;
}

TEST(GpuJobTest, AnotherNcclOnResumeIsAChangeOfTheNumerics) {
  const CudaRuntime cuda = runtime_of_13();
  const NcclLibrary older = nccl_of<22809>();
  const NcclLibrary newer = nccl_of<23000>();
  const Numerics before = numerics_of_gpu("H100", cuda, &older);
  EXPECT_EQ(before.at("gpu"), "H100");
  EXPECT_EQ(before.at("gpu_runtime"), "13000");
  EXPECT_EQ(before.at("gpu_driver"), driver_text(cuda));
  EXPECT_EQ(before, numerics_of_gpu("H100", cuda, &older));
  const std::vector<NumericsChange> expected = {{"nccl", "2.28.9", "2.30.0"}};
  EXPECT_EQ(find_changes(before, numerics_of_gpu("H100", cuda, &newer)), expected);
  EXPECT_FALSE(numerics_of_gpu("H100", cuda, nullptr).contains("nccl")) << "where none is used";
}

}  // namespace
}  // namespace cloze
