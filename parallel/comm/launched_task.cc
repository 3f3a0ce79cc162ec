#include "parallel/comm/launched_task.h"

#include <charconv>
#include <cstring>
#include <string>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// A whole number, or nothing when the variable is absent or says something else.
std::optional<long long> number_of(const Variable& variable, const char* name) {
  const char* value = variable(name);
  if (value == nullptr) return std::nullopt;
  long long number = 0;
  const char* end = value + std::strlen(value);
  const auto [rest, error] = std::from_chars(value, end, number);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

std::optional<LaunchedTask> task_of(const Variable& variable, Launcher launcher, const char* rank,
                                    const char* num_tasks) {
  const std::optional<long long> count = number_of(variable, num_tasks);
  if (!count) return std::nullopt;
  return LaunchedTask{.launcher = launcher,
                      .rank = static_cast<int>(number_of(variable, rank).value_or(0)),
                      .num_tasks = static_cast<int>(*count)};
}

// The batch script and the shell of an interactive job are steps with numbers from here on.
constexpr long long kFirstSpecialStep = 0xfffffff0;

// Tasks of srun have a step. A rank above 0 is a task's as well, since the batch script, which
// has SLURM_PROCID and SLURM_NTASKS but no step, has rank 0.
std::optional<LaunchedTask> slurm_task(const Variable& variable) {
  std::optional<long long> step = number_of(variable, "SLURM_STEP_ID");
  if (!step) step = number_of(variable, "SLURM_STEPID");
  const bool in_step = step && *step >= 0 && *step < kFirstSpecialStep;
  if (!in_step && number_of(variable, "SLURM_PROCID").value_or(0) <= 0) return std::nullopt;
  if (in_step) {
    auto task = task_of(variable, Launcher::kSlurm, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS");
    if (task) return task;
  }
  return task_of(variable, Launcher::kSlurm, "SLURM_PROCID", "SLURM_NTASKS");
}

std::string launcher_name(Launcher launcher) {
  switch (launcher) {
    case Launcher::kOpenMpi:
      return "an mpirun of Open MPI";
    case Launcher::kHydra:
      return "an mpirun of MPICH or its kin (hydra)";
    case Launcher::kSlurm:
      return "srun";
  }
  return "a launcher";
}

}  // namespace

std::optional<LaunchedTask> launched_task_of(const Variable& variable) {
  // The innermost launcher: mpirun starts its daemons through srun.
  if (auto task =
          task_of(variable, Launcher::kOpenMpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")) {
    return task;
  }
  const std::optional<LaunchedTask> slurm = slurm_task(variable);
  if (slurm && slurm->num_tasks > 1) return slurm;
  if (auto task = task_of(variable, Launcher::kHydra, "PMI_RANK", "PMI_SIZE")) return task;
  return slurm;
}

bool is_allocation(const Variable& variable) {
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "PE_HOSTFILE"}) {
    if (variable(name) != nullptr) return true;
  }
  return false;
}

void check_not_alone(int world_size, const std::optional<LaunchedTask>& task,
                     std::string_view library) {
  if (world_size > 1 || !task || task->num_tasks <= 1) return;
  const std::string fix =
      task->launcher == Launcher::kSlurm
          ? str("use srun --mpi=pmix (srun --mpi=list tells whether this Slurm has it), or cloze "
                "launch -n ",
                task->num_tasks,
                " or mpirun inside the allocation; to train on one process: srun -n 1")
          : str("use the mpirun of ", library, "; cloze launch -n ", task->num_tasks,
                " finds out whether it is the one in PATH");
  fail(ExitCode::kUsage,
       str(launcher_name(task->launcher), " started ", task->num_tasks, " processes, but MPI (",
           library, ") sees each of them alone"),
       fix);
}

}  // namespace cloze
