// Which libraries and mpiruns belong together.
#include "trainer/doctor/mpi_checks.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

constexpr const char* kOpenMpi4 =
    "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022";
constexpr const char* kOpenMpi5 =
    "Open MPI v5.0.7, package: Open MPI builder@host Distribution, ident: 5.0.7, repo rev: "
    "v5.0.7, Feb 14, 2025";
constexpr const char* kMpich =
    "MPICH Version:      4.0.2\nMPICH Release date: Thu Apr  7 12:34:45 CDT 2022\n"
    "MPICH ABI:          14:2:2\nMPICH Device:       ch4:ofi\n";
constexpr const char* kMvapich =
    "MVAPICH2 Version      :\t2.3.7\nMVAPICH2 Release date :\tWed March 02 22:00:00 EST 2022\n"
    "MVAPICH2 Device       :\tch3:mrail\n";
constexpr const char* kIntel = "Intel(R) MPI Library 2021.9 for Linux* OS\n";

constexpr const char* kOpenMpirun4 =
    "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n";
constexpr const char* kOpenMpirun5 =
    "mpirun (Open MPI) 5.0.7\n\nReport bugs to https://www.open-mpi.org/community/help/\n";
constexpr const char* kHydra =
    "HYDRA build details:\n    Version:                                 4.0.2\n"
    "    Release Date:                            Thu Apr  7 12:34:45 CDT 2022\n"
    "    CC:                              gcc -g -O2\n";
constexpr const char* kIntelMpirun =
    "Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307 (id: d82b3071db)\n"
    "Copyright 2003-2023, Intel Corporation.\n";

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
