#include "trainer/launch/launcher_version.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"

namespace cloze {
namespace {

const LauncherVersion kFour{.name = "Open MPI", .major = 4, .number = "4.1.4"};

// The words of the programs and libraries themselves.
TEST(LauncherVersionTest, EveryMpiIsKnownByItsWords) {
  EXPECT_EQ(launcher_version_of("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: "
                                "v4.1.4, May 26, 2022"),
            kFour);
  EXPECT_EQ(
      launcher_version_of("mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/\n"),
      kFour);
  EXPECT_EQ(launcher_version_of("mpirun (Open MPI) 5.0.11\n"),
            (LauncherVersion{.name = "Open MPI", .major = 5, .number = "5.0.11"}));
  EXPECT_EQ(launcher_version_of("mpirun (Open MPI) 5.1.0rc1"),
            (LauncherVersion{.name = "Open MPI", .major = 5, .number = "5.1.0rc1"}));
  EXPECT_EQ(
      launcher_version_of("HYDRA build details:\n    Version:                                 "
                          "4.0.2\n    Release Date:   Thu Apr  7 12:34:45 CDT 2022\n"),
      (LauncherVersion{.name = "MPICH", .major = 4, .number = "4.0.2"}));
  EXPECT_EQ(launcher_version_of("MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7\n"),
            (LauncherVersion{.name = "MPICH", .major = 4, .number = "4.0.2"}));
  EXPECT_EQ(
      launcher_version_of("Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307\n"),
      (LauncherVersion{.name = "Intel MPI", .major = 2021, .number = "2021.9"}));
}

TEST(LauncherVersionTest, OtherWordsAreNoVersion) {
  for (const char* said : {"", "hello\n", "mpirun 4.1", "Open MPI", "Version: 4.0.2"}) {
    EXPECT_EQ(launcher_version_of(said), LauncherVersion{}) << said;
  }
}

TEST(LauncherVersionTest, AnotherPatchLevelIsTheSameMpi) {
  check_same_mpi(kFour, kFour);
  check_same_mpi(kFour, launcher_version_of("mpirun (Open MPI) 4.0.3"));
}

TEST(LauncherVersionTest, AnotherMpiIsRefusedWithBothNames) {
  for (const char* said : {"HYDRA build details:\n Version: 4.0.2", "mpirun (Open MPI) 5.0.11",
                           "Intel(R) MPI Library, Version 2021.9", "nothing known"}) {
    const LauncherVersion mpirun = launcher_version_of(said);
    try {
      check_same_mpi(kFour, mpirun);
      ADD_FAILURE() << said;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find(text_of(mpirun)), std::string::npos) << error.what();
      EXPECT_NE(error.problem().find("Open MPI 4.1.4"), std::string::npos) << error.what();
    }
  }
}

TEST(LauncherVersionTest, AProgramOfAnMpiWithoutKnownOptionsSaysHowToStartIt) {
  for (const char* said : {"MPICH Version:\t4.0.2", "Open MPI v3.1.0", "Open MPI v6.0.0", "?"}) {
    const LauncherVersion library = launcher_version_of(said);
    try {
      check_same_mpi(library, library);
      ADD_FAILURE() << said;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.fix().find("mpirun -n N"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace cloze
