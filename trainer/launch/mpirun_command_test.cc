#include "trainer/launch/mpirun_command.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

using Words = std::vector<std::string>;

const MpiVersion kFour{.flavour = MpiFlavour::kOpenMpi, .number = "4.1.4"};
const MpiVersion kFive{.flavour = MpiFlavour::kOpenMpi, .number = "5.0.11"};

// The words behind `exec mpirun` in scripts/mpirun, without its "$@".
Words words_of_script() {
  const std::string text = read_file(std::string(CLOZE_SOURCE_DIR) + "/scripts/mpirun", 1 << 16);
  const std::size_t start = text.find("exec mpirun ");
  EXPECT_NE(start, std::string::npos) << text;
  std::istringstream stream(text.substr(start + std::string("exec mpirun ").size()));
  Words words;
  for (std::string word; stream >> word;) {
    if (word != "\\" && word != "\"$@\"") words.push_back(word);
  }
  return words;
}

bool has(const Words& command, const Words& part) {
  return std::search(command.begin(), command.end(), part.begin(), part.end()) != command.end();
}

TEST(MpirunCommandTest, OneMachineHasTheOptionsOfTheScript) {
  Words expected = {"mpirun", "-n", "3"};
  for (const std::string& word : words_of_script()) expected.push_back(word);
  for (const char* word : {"cloze", "train", "a b.yaml"}) expected.emplace_back(word);
  EXPECT_EQ(mpirun_command(kFour, {.num_ranks = 3}, {"cloze", "train", "a b.yaml"}), expected);
}

TEST(MpirunCommandTest, SeveralHostsChooseTheirNetworkAndKeepTheirSlots) {
  const RankPlacement placement{.num_ranks = 16,
                                .hostfile = "hosts",
                                .one_machine = false,
                                .oversubscribe = false,
                                .yield = false,
                                .passes_threads = true};
  EXPECT_EQ(mpirun_command(kFour, placement, {"cloze"}),
            (Words{"mpirun", "-n", "16", "--allow-run-as-root", "--hostfile", "hosts", "-x",
                   "OMP_NUM_THREADS", "--bind-to", "none", "--mca", "orte_tmpdir_base", "/dev/shm",
                   "cloze"}));
}

TEST(MpirunCommandTest, CrowdedHostsYield) {
  const Words command = mpirun_command(
      kFour, {.num_ranks = 16, .hostfile = "hosts", .one_machine = false}, {"cloze"});
  EXPECT_TRUE(has(command, {"--oversubscribe"}));
  EXPECT_TRUE(has(command, {"--mca", "mpi_yield_when_idle", "1"}));
  EXPECT_FALSE(has(command, {"btl"}));
}

TEST(MpirunCommandTest, OpenMpi5HasItsOwnSpelling) {
  EXPECT_EQ(mpirun_command(kFive, {.num_ranks = 2}, {"cloze"}), (Words{"mpirun",
                                                                       "-n",
                                                                       "2",
                                                                       "--allow-run-as-root",
                                                                       "--map-by",
                                                                       ":OVERSUBSCRIBE",
                                                                       "--bind-to",
                                                                       "none",
                                                                       "--mca",
                                                                       "mpi_yield_when_idle",
                                                                       "1",
                                                                       "--prtemca",
                                                                       "prte_tmpdir_base",
                                                                       "/dev/shm",
                                                                       "--mca",
                                                                       "pml",
                                                                       "ob1",
                                                                       "--mca",
                                                                       "btl",
                                                                       "self,sm,tcp",
                                                                       "cloze"}));
}

TEST(MpirunCommandTest, AnotherPatchLevelIsTheSameMpi) {
  check_same_mpi(kFour, kFour);
  check_same_mpi(kFour, parse_mpirun("mpirun (Open MPI) 4.0.3"));
}

TEST(MpirunCommandTest, AnotherMpiIsRefusedWithBothNames) {
  for (const char* said : {"HYDRA build details:\n Version: 4.0.2", "mpirun (Open MPI) 5.0.11",
                           "Intel(R) MPI Library, Version 2021.9", "nothing known"}) {
    const MpiVersion mpirun = parse_mpirun(said);
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

TEST(MpirunCommandTest, AProgramOfAnMpiWithoutKnownOptionsSaysHowToStartIt) {
  for (const char* said :
       {"MPICH Version:\t4.0.2", "Open MPI v3.1.0", "Open MPI v6.0.0", "Open MPI", "?"}) {
    const MpiVersion library = parse_mpi_library(said);
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
