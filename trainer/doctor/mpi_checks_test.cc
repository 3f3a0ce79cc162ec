// Which libraries and mpiruns belong together.
#include "trainer/doctor/mpi_checks.h"

#include <gtest/gtest.h>

#include "parallel/base/mpi_version_testing.h"

namespace cloze {
namespace {

Status match(const char* library, const char* launcher) {
  const CheckResult check = check_mpirun(library, {"/usr/bin/mpirun", launcher}, false);
  EXPECT_EQ(check.status == Status::kOk, check.fix.empty());
  return check.status;
}

TEST(MpiChecksTest, TheLaunchersOfOtherMpisFail) {
  EXPECT_EQ(match(kOpenMpi4, kHydra), Status::kFail);
  EXPECT_EQ(match(kOpenMpi4, kIntelMpirun), Status::kFail);
  EXPECT_EQ(match(kOpenMpi4, kOpenMpirun5), Status::kFail);
  EXPECT_EQ(match(kOpenMpi5, kOpenMpirun4), Status::kFail);
  EXPECT_EQ(match(kMpich, kOpenMpirun4), Status::kFail);
  EXPECT_EQ(match(kIntel, kHydra), Status::kFail);
  const CheckResult check = check_mpirun(kOpenMpi4, {"/opt/mpich/bin/mpirun", kHydra}, false);
  EXPECT_EQ(check.value, Value(std::string("MPICH 4.0.2")));
  EXPECT_NE(check.detail.find("linked with Open MPI 4.1.4"), std::string::npos) << check.detail;
  EXPECT_NE(check.detail.find("/opt/mpich/bin/mpirun"), std::string::npos);
}

TEST(MpiChecksTest, TheLaunchersOfTheSameMpiAreFine) {
  EXPECT_EQ(match(kOpenMpi4, kOpenMpirun4), Status::kOk);
  EXPECT_EQ(match(kOpenMpi5, kOpenMpirun5), Status::kOk);
  EXPECT_EQ(match(kMpich, kHydra), Status::kOk);
  EXPECT_EQ(match(kMvapich, kHydra), Status::kOk) << "Hydra starts it";
  EXPECT_EQ(match(kIntel, kIntelMpirun), Status::kOk);
  EXPECT_EQ(match(kOpenMpi4, "mpirun (Open MPI) 4.0.3\n"), Status::kWarn);
  EXPECT_EQ(match(kOpenMpi4, "mpirun: not for humans"), Status::kWarn);
  EXPECT_EQ(match(kOpenMpi4, ""), Status::kWarn) << "it printed nothing, or hung";
}

TEST(MpiChecksTest, NoMpirunIsMissedOnlyWhenNothingElseLaunches) {
  const CheckResult missing = check_mpirun(kOpenMpi4, {}, false);
  EXPECT_EQ(missing.status, Status::kWarn);
  EXPECT_NE(missing.fix.find("openmpi-bin"), std::string::npos);
  EXPECT_EQ(check_mpirun(kOpenMpi4, {}, true).status, Status::kOk);
}

TEST(MpiChecksTest, ThreadsAndLibrariesAreJudged) {
  EXPECT_EQ(check_thread_level("multiple").status, Status::kOk);
  EXPECT_EQ(check_thread_level("single").status, Status::kFail);
  EXPECT_EQ(check_mpi_library(kOpenMpi4).status, Status::kOk);
  EXPECT_EQ(check_mpi_library(kMpich).status, Status::kWarn);
}

}  // namespace
}  // namespace cloze
