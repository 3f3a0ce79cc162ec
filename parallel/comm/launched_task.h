// What a launcher tells a process that it starts, in the environment, without MPI.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

namespace cloze {

enum class Launcher {
  kOpenMpi,  // mpirun of Open MPI.
  kHydra,    // mpirun of MPICH, Intel MPI and MVAPICH.
  kSlurm,    // srun.
};

// This process is one of several that a launcher started together.
struct LaunchedTask {
  Launcher launcher = Launcher::kOpenMpi;
  int rank = 0;
  int num_tasks = 1;
  bool operator==(const LaunchedTask&) const = default;
};

// The value of an environment variable; nullptr when it is not set.
using Variable = std::function<const char*(const char* name)>;

// Nothing when no launcher started this process. Not every process of a Slurm allocation is a
// task: the batch script, and a shell of salloc, see the allocation's number of tasks too.
std::optional<LaunchedTask> launched_task_of(const Variable& variable);

// Whether a batch system (Slurm, PBS, LSF, Grid Engine) has allotted hosts to this process.
bool is_allocation(const Variable& variable);

// Throws Error kUsage when several tasks were started and MPI sees each of them alone: they would
// train the same model side by side. `library` is what MPI says of itself.
void check_not_alone(int world_size, const std::optional<LaunchedTask>& task,
                     std::string_view library);

// The same for the environment of this process, which groups.cc alone reads.
std::optional<LaunchedTask> launched_task();
bool is_in_allocation();

// MpiSession calls it before it starts MPI. Open MPI takes a process that sees Slurm's hosts and a
// step for a task of srun, and ends it when srun brought no process manager along: in the shell of
// an interactive job, too. This hides such hosts from it.
void hide_unconnected_hosts();

// MpiSession calls it before it starts MPI. Returns whether the ranks of a host read each other's
// memory. Where they may not, tells Open MPI's shared-memory transport, which would try and fail,
// unless the user chose a way of copying: then it is not known, and false.
bool choose_copies_between_ranks();

}  // namespace cloze
