// The command line of mpirun for a job, and whether it is the mpirun of this program's MPI.
#pragma once

#include <string>
#include <vector>

#include "parallel/base/mpi_version.h"

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

// Throws Error kUsage unless `mpirun` starts programs that are linked with `library`, and this
// program knows its options. Ranks started by another MPI would each believe to be alone.
void check_same_mpi(const MpiVersion& library, const MpiVersion& mpirun);

// `mpi` is one that check_same_mpi() lets through. scripts/mpirun, which starts test programs
// before there is a `cloze`, has the same options for one machine; a test holds the two together.
std::vector<std::string> mpirun_command(const MpiVersion& mpi, const RankPlacement& placement,
                                        const std::vector<std::string>& program);

}  // namespace cloze
