// The command line of mpirun for a job.
#pragma once

#include <string>
#include <vector>

#include "trainer/launch/launcher_version.h"

namespace cloze {

// Where the ranks of a job run, and what mpirun must know of that.
struct RankPlacement {
  int num_ranks = 1;
  std::string hostfile{};       // Empty: this machine, or the hosts that a batch system allots.
  bool one_machine = true;      // All ranks share one machine's memory.
  bool oversubscribe = true;    // More ranks than slots are welcome.
  bool yield = true;            // A rank that waits gives its core to the others.
  bool passes_threads = false;  // OMP_NUM_THREADS is set here; ranks of other hosts need it too.
  bool operator==(const RankPlacement&) const = default;
};

// `mpi` is one that check_same_mpi() lets through. scripts/mpirun, which starts test programs
// before there is a `cloze`, has the same options for one machine; a test holds the two together.
std::vector<std::string> mpirun_command(const LauncherVersion& mpi, const RankPlacement& placement,
                                        const std::vector<std::string>& program);

}  // namespace cloze
