// `cloze train` as other launchers start it: by an mpirun of another MPI, by srun, in a batch job.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <fstream>

#include "tests/integration/training.h"

namespace cloze {
namespace {

using std::chrono::seconds;

class ForeignLaunchTest : public TrainingTest {
 protected:
  static void SetUpTestSuite() { TrainingTest::SetUpTestSuite(); }

  // The program alone, among `variables`.
  Outcome train_in(const Words& variables) const {
    return run_process(Words{"/usr/bin/env"} + variables + command(0, "a", {"run.steps=1"}),
                       workspace());
  }

  // A program for PATH.
  void stand_in(const std::string& name, const std::string& script) const {
    std::filesystem::create_directories(run_folder("bin"));
    const std::filesystem::path path = run_folder("bin") / name;
    std::ofstream(path) << "#!/usr/bin/env bash\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  // Runs a batch script as Slurm does, signals it in mid run; expects a save and a requeue.
  void expect_requeues(const std::string& script, const Words& options = {}) {
    // srun passes signals on to its tasks, as mpirun does.
    stand_in("srun", "while [[ $1 == --* ]]; do shift; done\nexec " CLOZE_SOURCE_DIR
                     "/scripts/mpirun -n \"$SLURM_NTASKS\" \"$@\"\n");
    stand_in("scontrol", "echo \"$@\" >>" + run_folder("scontrol").string() + "\n");
    const std::string path = std::string(CLOZE_SOURCE_DIR) + "/scripts/slurm/" + script;
    EXPECT_EQ(run_process({"/bin/bash", "-n", path}, workspace()).code, 0);
    Process process(Words{"/usr/bin/env", "PATH=" + run_folder("bin").string() + ":/usr/bin:/bin",
                          "SLURM_JOB_ID=77", "SLURM_NTASKS=2", "SLURM_PROCID=0",
                          std::string("CLOZE=") + CLOZE_BINARY, "/bin/bash", path, "config.yaml",
                          "--set", "run.directory=" + run_folder("a").string(), "--set",
                          "run.steps=1000000", "--set", "checkpoint.interval=1000000"} +
                        options,
                    workspace());
    ASSERT_TRUE(reaches("a", 2));
    process.send(SIGUSR1);
    const Outcome outcome = process.wait(seconds(60));
    EXPECT_EQ(outcome.code, 85) << outcome.out << outcome.err;
    EXPECT_EQ(text_of_file(run_folder("scontrol")), "requeue 77\n");
    EXPECT_EQ(events("a").back().at("event"), "preempted");
  }
};

TEST_F(ForeignLaunchTest, RanksOfAnotherOpenMpiAreRefused) {
  expect_failure(train_in({"OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_RANK=0"}), 64,
                 {"an mpirun of Open MPI started 4 processes", "use the mpirun of Open MPI"});
}

TEST_F(ForeignLaunchTest, RanksOfMpichAreRefused) {
  expect_failure(train_in({"PMI_SIZE=3", "PMI_RANK=0"}), 64,
                 {"hydra", "started 3 processes", "use the mpirun of Open MPI"});
}

TEST_F(ForeignLaunchTest, TasksOfSlurmWithoutPmixAreRefused) {
  expect_failure(train_in({"SLURM_JOB_ID=7", "SLURM_STEP_ID=0", "SLURM_PROCID=0", "SLURM_NTASKS=4",
                           "SLURM_STEP_NUM_TASKS=4", "SLURM_NODELIST=node1"}),
                 64, {"srun started 4 processes", "srun --mpi=pmix"});
}

TEST_F(ForeignLaunchTest, OnlyTheFirstOfThemSaysIt) {
  for (const Words& task :
       {Words{"OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_RANK=2"},
        Words{"PMI_SIZE=4", "PMI_RANK=2"}, Words{"SLURM_NTASKS=4", "SLURM_PROCID=2"}}) {
    const Outcome outcome = train_in(task);
    EXPECT_EQ(outcome.code, 64) << task.front();
    EXPECT_EQ(outcome.out + outcome.err, "") << task.front();
  }
}

TEST_F(ForeignLaunchTest, AShellOfAnAllocationTrainsAlone) {
  const Words batch = {"SLURM_JOB_ID=7", "SLURM_NTASKS=4", "SLURM_PROCID=0",
                       "SLURM_NODELIST=node1"};
  expect_done(train_in(batch));
  // The shell of salloc is a step of its own, whose number says so.
  expect_done(train_in(batch + Words{"SLURM_STEP_ID=4294967290", "SLURM_STEP_NUM_TASKS=1"}));
  // srun --pty bash, without PMIx.
  expect_done(train_in({"SLURM_JOB_ID=7", "SLURM_NTASKS=1", "SLURM_PROCID=0", "SLURM_STEP_ID=0",
                        "SLURM_STEP_NUM_TASKS=1", "SLURM_NODELIST=node1"}));
}

TEST_F(ForeignLaunchTest, EveryCommandStartsMpiInTheShellOfAnAllocation) {
  const Words shell = {"/usr/bin/env",           "SLURM_JOB_ID=7",
                       "SLURM_NTASKS=4",         "SLURM_PROCID=0",
                       "SLURM_NODELIST=node1",   "SLURM_STEP_ID=4294967290",
                       "SLURM_STEP_NUM_TASKS=1", CLOZE_BINARY};
  const Outcome doctor = run_process(shell + Words{"doctor", "--json"}, workspace());
  bool is_told = false;
  const nlohmann::json told = nlohmann::json::parse(doctor.out);
  for (const nlohmann::json& check : told.at("checks")) {
    if (check.at("name") != "mpi.start") continue;
    is_told = true;
    EXPECT_EQ(check.at("status"), "ok") << check;
  }
  EXPECT_TRUE(is_told) << doctor.out << doctor.err;
  expect_failure(run_process(shell + Words{"doctor", "--nothing"}, workspace()), 64, {"--nothing"});
}

TEST_F(ForeignLaunchTest, TheSrunScriptSavesAndGoesBackIntoTheQueue) {
  expect_requeues("train.sbatch");
}

TEST_F(ForeignLaunchTest, TheMpirunScriptSavesAndGoesBackIntoTheQueue) {
  expect_requeues("launch.sbatch", {"--oversubscribe"});
}

}  // namespace
}  // namespace cloze
