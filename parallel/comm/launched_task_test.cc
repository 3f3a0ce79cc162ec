#include "parallel/comm/launched_task.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "parallel/base/check.h"

namespace cloze {
namespace {

using Environment = std::map<std::string, std::string>;

Variable in(const Environment& environment) {
  return [&environment](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  };
}

std::optional<LaunchedTask> task_in(const Environment& environment) {
  return launched_task_of(in(environment));
}

LaunchedTask task(Launcher launcher, int rank, int num_tasks) {
  return {.launcher = launcher, .rank = rank, .num_tasks = num_tasks};
}

TEST(LaunchedTaskTest, EachLauncherIsKnownByItsVariables) {
  EXPECT_EQ(task_in({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}}),
            task(Launcher::kOpenMpi, 3, 4));
  EXPECT_EQ(task_in({{"PMI_SIZE", "4"}, {"PMI_RANK", "2"}}), task(Launcher::kHydra, 2, 4));
  EXPECT_EQ(task_in({{"SLURM_STEP_ID", "0"},
                     {"SLURM_PROCID", "1"},
                     {"SLURM_STEP_NUM_TASKS", "4"},
                     {"SLURM_NTASKS", "8"}}),
            task(Launcher::kSlurm, 1, 4));
  EXPECT_EQ(task_in({{"SLURM_STEPID", "2"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}),
            task(Launcher::kSlurm, 0, 8));
  EXPECT_EQ(task_in({{"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "8"}}), task(Launcher::kSlurm, 5, 8));
}

TEST(LaunchedTaskTest, AShellOfAnAllocationIsNoTask) {
  const Environment batch = {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}};
  EXPECT_EQ(task_in(batch), std::nullopt);
  EXPECT_EQ(task_in({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}}), std::nullopt);
  for (const char* special : {"4294967290", "4294967291", "4294967294"}) {
    Environment environment = batch;
    environment["SLURM_STEP_ID"] = special;
    EXPECT_EQ(task_in(environment), std::nullopt) << special;
  }
  EXPECT_EQ(task_in({}), std::nullopt);
}

TEST(LaunchedTaskTest, AShellInAStepOfOneTaskIsAlone) {
  const auto shell = task_in({{"SLURM_STEP_ID", "0"},
                              {"SLURM_PROCID", "0"},
                              {"SLURM_STEP_NUM_TASKS", "1"},
                              {"SLURM_NTASKS", "1"}});
  ASSERT_TRUE(shell);
  check_not_alone(1, shell, "Open MPI 4.1.4");
}

TEST(LaunchedTaskTest, TheInnermostLauncherCounts) {
  // A daemon of mpirun is a task of srun; what it starts is a rank of mpirun's.
  EXPECT_EQ(task_in({{"OMPI_COMM_WORLD_SIZE", "1"},
                     {"OMPI_COMM_WORLD_RANK", "0"},
                     {"SLURM_STEP_ID", "0"},
                     {"SLURM_STEP_NUM_TASKS", "4"}}),
            task(Launcher::kOpenMpi, 0, 1));
  EXPECT_EQ(task_in({{"PMI_SIZE", "4"},
                     {"PMI_RANK", "1"},
                     {"SLURM_STEP_ID", "0"},
                     {"SLURM_STEP_NUM_TASKS", "1"}}),
            task(Launcher::kHydra, 1, 4));
}

TEST(LaunchedTaskTest, WordsThatAreNoNumbersAreNoTask) {
  for (const char* value : {"", "four", "4x", " 4", "99999999999999999999"}) {
    EXPECT_EQ(task_in({{"OMPI_COMM_WORLD_SIZE", value}}), std::nullopt) << value;
    EXPECT_EQ(task_in({{"SLURM_STEP_ID", value}, {"SLURM_STEP_NUM_TASKS", "4"}}), std::nullopt)
        << value;
  }
}

TEST(LaunchedTaskTest, EachLauncherHasItsFix) {
  const std::map<Launcher, std::string> fixes = {
      {Launcher::kOpenMpi, "the mpirun of Open MPI 4.1.4"},
      {Launcher::kHydra, "the mpirun of Open MPI 4.1.4"},
      {Launcher::kSlurm, "srun --mpi=pmix"}};
  for (const auto& [launcher, fix] : fixes) {
    try {
      check_not_alone(1, task(launcher, 0, 4), "Open MPI 4.1.4");
      ADD_FAILURE() << fix;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find("started 4 processes"), std::string::npos) << error.what();
      EXPECT_NE(error.fix().find(fix), std::string::npos) << error.what();
    }
    check_not_alone(4, task(launcher, 0, 4), "Open MPI 4.1.4");
    check_not_alone(1, task(launcher, 0, 1), "Open MPI 4.1.4");
  }
  check_not_alone(1, std::nullopt, "Open MPI 4.1.4");
}

TEST(LaunchedTaskTest, BatchSystemsAreKnown) {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "PE_HOSTFILE"}) {
    const Environment environment = {{name, "7"}};
    EXPECT_TRUE(is_allocation(in(environment))) << name;
  }
  EXPECT_FALSE(is_allocation(in({})));
}

}  // namespace
}  // namespace cloze
