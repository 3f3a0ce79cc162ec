#include "parallel/base/mpi_version.h"

#include <gtest/gtest.h>

#include <string>

#include "parallel/base/mpi_version_testing.h"

namespace cloze {
namespace {

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
  const MpiVersion many = parse_mpirun("(Open MPI) 99999999999999999999.1");
  EXPECT_EQ(many.number, "99999999999999999999.1");
  EXPECT_EQ(major_of(many), 999999) << "too many digits are no crash";
}

// The words of the programs and libraries themselves.
TEST(MpiVersionTest, EveryMpiIsKnownByItsWords) {
  const MpiVersion four{.flavour = MpiFlavour::kOpenMpi, .number = "4.1.4"};
  EXPECT_EQ(major_of(four), 4);
  EXPECT_EQ(parse_mpi_library("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: "
                              "v4.1.4, May 26, 2022"),
            four);
  EXPECT_EQ(parse_mpirun("mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/\n"),
            four);
  EXPECT_EQ(parse_mpirun("mpirun (OpenRTE) 4.1.4\n"), four);
  const MpiVersion five = parse_mpirun("mpirun (Open MPI) 5.0.11\n");
  EXPECT_EQ(five, (MpiVersion{.flavour = MpiFlavour::kOpenMpi, .number = "5.0.11"}));
  EXPECT_EQ(major_of(five), 5);
  const MpiVersion candidate = parse_mpirun("mpirun (Open MPI) 5.1.0rc1");
  EXPECT_EQ(candidate, (MpiVersion{.flavour = MpiFlavour::kOpenMpi, .number = "5.1.0rc1"}));
  EXPECT_EQ(major_of(candidate), 5);
  const MpiVersion mpich{.flavour = MpiFlavour::kMpich, .number = "4.0.2"};
  EXPECT_EQ(major_of(mpich), 4);
  EXPECT_EQ(parse_mpirun("HYDRA build details:\n    Version:                                 "
                         "4.0.2\n    Release Date:   Thu Apr  7 12:34:45 CDT 2022\n"),
            mpich);
  EXPECT_EQ(parse_mpi_library("MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7\n"), mpich);
  const MpiVersion intel =
      parse_mpirun("Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307\n");
  EXPECT_EQ(intel, (MpiVersion{.flavour = MpiFlavour::kIntel, .number = "2021.9"}));
  EXPECT_EQ(major_of(intel), 2021);
}

TEST(MpiVersionTest, OtherWordsAreNoVersion) {
  for (const char* said : {"", "hello\n", "mpirun 4.1", "Open MPI", "Version: 4.0.2"}) {
    EXPECT_EQ(parse_mpirun(said), MpiVersion{}) << said;
    EXPECT_EQ(major_of(parse_mpirun(said)), 0) << said;
    EXPECT_EQ(major_of(parse_mpi_library(said)), 0) << said;
  }
}

TEST(MpiVersionTest, AMegabyteIsRead) {
  const std::string many(1 << 20, 'a');
  EXPECT_EQ(text_of(parse_mpirun("HYDRA" + many + "Version:" + many + " 4.0.2")), "MPICH 4.0.2");
  EXPECT_EQ(parse_mpi_library("Intel(R) MPI " + many).number, "");
}

}  // namespace
}  // namespace cloze
