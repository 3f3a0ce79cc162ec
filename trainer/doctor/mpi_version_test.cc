// Texts of MPI libraries and of their mpiruns, and which of them belong together.
#include "trainer/doctor/mpi_version.h"

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
constexpr const char* kCray =
    "MPI VERSION    : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)\n"
    "MPI BUILD INFO : Sun Feb 26 15:15 2023 (git hash aecd99f)\n";

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

TEST(MpiVersionTest, LibrariesAreTold) {
  EXPECT_EQ(text_of(parse_mpi_library(kOpenMpi4)), "Open MPI 4.1.4");
  EXPECT_EQ(text_of(parse_mpi_library(kOpenMpi5)), "Open MPI 5.0.7");
  EXPECT_EQ(text_of(parse_mpi_library(kMpich)), "MPICH 4.0.2");
  EXPECT_EQ(text_of(parse_mpi_library(kMvapich)), "MVAPICH 2.3.7");
  EXPECT_EQ(text_of(parse_mpi_library(kIntel)), "Intel MPI 2021.9");
  EXPECT_EQ(text_of(parse_mpi_library(kCray)), "Cray MPICH 8.1.25.17");
  EXPECT_EQ(mpi_library_name("Some MPI 1.0\nmore"), "Some MPI 1.0");
  EXPECT_EQ(mpi_library_name(""), "unknown MPI");
}

TEST(MpiVersionTest, LaunchersAreTold) {
  EXPECT_EQ(text_of(parse_mpirun(kOpenMpirun4)), "Open MPI 4.1.4");
  EXPECT_EQ(text_of(parse_mpirun(kOpenMpirun5)), "Open MPI 5.0.7");
  EXPECT_EQ(text_of(parse_mpirun(kHydra)), "MPICH 4.0.2");
  EXPECT_EQ(text_of(parse_mpirun(kIntelMpirun)), "Intel MPI 2021.9");
  EXPECT_EQ(parse_mpirun("usage: mpirun ..."), MpiVersion{});
  EXPECT_EQ(parse_mpirun("mpirun (Open MPI)"), (MpiVersion{MpiFlavour::kOpenMpi, {}}));
  EXPECT_EQ(parse_mpirun("(Open MPI) 99999999999999999999.1").numbers.size(), 2U)
      << "too many digits are no crash";
}

Status match(const char* library, const char* launcher) {
  const CheckResult check = check_mpirun(library, {"/usr/bin/mpirun", launcher}, false);
  EXPECT_EQ(check.status == Status::kOk, check.fix.empty());
  return check.status;
}

TEST(MpiVersionTest, TheLaunchersOfOtherMpisFail) {
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

TEST(MpiVersionTest, TheLaunchersOfTheSameMpiAreFine) {
  EXPECT_EQ(match(kOpenMpi4, kOpenMpirun4), Status::kOk);
  EXPECT_EQ(match(kOpenMpi5, kOpenMpirun5), Status::kOk);
  EXPECT_EQ(match(kMpich, kHydra), Status::kOk);
  EXPECT_EQ(match(kMvapich, kHydra), Status::kOk) << "Hydra starts it";
  EXPECT_EQ(match(kIntel, kIntelMpirun), Status::kOk);
  EXPECT_EQ(match(kOpenMpi4, "mpirun (Open MPI) 4.0.3\n"), Status::kWarn);
  EXPECT_EQ(match(kOpenMpi4, "mpirun: not for humans"), Status::kWarn);
  EXPECT_EQ(match(kOpenMpi4, ""), Status::kWarn) << "it printed nothing, or hung";
}

TEST(MpiVersionTest, NoMpirunIsMissedOnlyWhenNothingElseLaunches) {
  const CheckResult missing = check_mpirun(kOpenMpi4, {}, false);
  EXPECT_EQ(missing.status, Status::kWarn);
  EXPECT_NE(missing.fix.find("openmpi-bin"), std::string::npos);
  EXPECT_EQ(check_mpirun(kOpenMpi4, {}, true).status, Status::kOk);
}

TEST(MpiVersionTest, ThreadsAndLibrariesAreJudged) {
  EXPECT_EQ(check_thread_level("multiple").status, Status::kOk);
  EXPECT_EQ(check_thread_level("single").status, Status::kFail);
  EXPECT_EQ(check_mpi_library(kOpenMpi4).status, Status::kOk);
  EXPECT_EQ(check_mpi_library(kMpich).status, Status::kWarn);
}

}  // namespace
}  // namespace cloze
