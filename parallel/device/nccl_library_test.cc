#include "parallel/device/nccl_library.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

#include "parallel/base/check.h"
#include "parallel/device/shared_library.h"

#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

namespace cloze {
namespace {

#ifdef NCCL_VERSION_CODE

// What we declare is what NCCL's header does. A later header may add to the end of the structure.
static_assert(sizeof(NcclUniqueId) == sizeof(ncclUniqueId));
static_assert(sizeof(NcclConfig) <= sizeof(ncclConfig_t));
static_assert(offsetof(NcclConfig, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(NcclConfig, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(NcclConfig, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(offsetof(NcclConfig, split_share) == offsetof(ncclConfig_t, splitShare));
static_assert(offsetof(NcclConfig, comm_name) == offsetof(ncclConfig_t, commName));
static_assert(offsetof(NcclConfig, cta_policy) == offsetof(ncclConfig_t, CTAPolicy));
static_assert(offsetof(NcclConfig, nvlink_centric_sched) ==
              offsetof(ncclConfig_t, nvlinkCentricSched));
static_assert(kNcclSuccess == ncclSuccess);
static_assert(kNcclRemoteError == ncclRemoteError);
static_assert(kNcclInProgress == ncclInProgress);
static_assert(kNcclUint8 == ncclUint8);
static_assert(kNcclNoColor == NCCL_SPLIT_NOCOLOR);
static_assert(std::is_same_v<NcclComm, ncclComm_t>);
static_assert(std::is_same_v<CudaStream, cudaStream_t>);

TEST(NcclLibraryTest, TheConfigBeginsAsTheHeaderSays) {
  const ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
  const NcclConfig ours;
  EXPECT_EQ(ours.magic, theirs.magic);
  EXPECT_LE(ours.version, theirs.version);
  EXPECT_EQ(ours.split_share, theirs.splitShare);
  EXPECT_EQ(ours.nvlink_centric_sched, theirs.nvlinkCentricSched);
}

#endif

TEST(NcclLibraryTest, VersionsAreReadable) {
  EXPECT_EQ(nccl_version_text(22809), "2.28.9");
  EXPECT_EQ(nccl_version_text(23000), "2.30.0");
}

TEST(NcclLibraryTest, OnlyLaterOnesCarryTensorsBetweenRanksOnOneGpu) {
  check_nccl_of_one_gpu(23000);
  check_nccl_of_one_gpu(23203);
  for (const int version : {kOldestNccl, 22809, 22999}) {
    try {
      check_nccl_of_one_gpu(version);
      ADD_FAILURE() << version;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find(nccl_version_text(version)), std::string::npos);
      EXPECT_NE(error.fix().find("unset NCCL_MULTI_RANK_GPU_ENABLE"), std::string::npos);
    }
  }
}

// Where NCCL is installed, it opens and answers, GPU or not; where it is not, the error says so.
TEST(NcclLibraryTest, OpensOrSaysWhatIsMissing) {
  try {
    const NcclLibrary nccl = open_nccl_library();
    int version = 0;
    EXPECT_EQ(nccl.get_version(&version), kNcclSuccess);
    EXPECT_GE(version, kOldestNccl);
    EXPECT_STREQ(nccl.error_string(kNcclInProgress), "NCCL operation in progress");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.problem().find("libnccl.so.2"), std::string::npos) << error.what();
    EXPECT_NE(error.fix().find("install NCCL"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace cloze
