#include "trainer/cli/gpu_job.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "tests/support/run_ranks.h"
#include "trainer/loop/agreement.h"

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

}  // namespace
}  // namespace cloze
