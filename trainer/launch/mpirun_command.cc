// The options are rows of a table: when, and how each Open MPI spells it.
#include "trainer/launch/mpirun_command.h"

#include "parallel/base/check.h"

namespace cloze {
namespace {

using Words = std::vector<std::string>;

struct Option {
  bool wanted;
  Words open_mpi_4;
  Words open_mpi_5;
};

std::vector<Option> options_for(const RankPlacement& placement) {
  const Words hostfile = {"--hostfile", placement.hostfile};
  const Words threads = {"-x", "OMP_NUM_THREADS"};
  const bool always = true;
  return {
      {always, {"--allow-run-as-root"}, {"--allow-run-as-root"}},
      {!placement.hostfile.empty(), hostfile, hostfile},
      {placement.passes_threads, threads, threads},
      {placement.oversubscribe, {"--oversubscribe"}, {"--map-by", ":OVERSUBSCRIBE"}},
      // A rank may run several threads; bound to one core they would take turns on it.
      {always, {"--bind-to", "none"}, {"--bind-to", "none"}},
      {placement.yield,
       {"--mca", "mpi_yield_when_idle", "1"},
       {"--mca", "mpi_yield_when_idle", "1"}},
      // Files of the session in memory, not on a disk that may be slow.
      {always,
       {"--mca", "orte_tmpdir_base", "/dev/shm"},
       {"--prtemca", "prte_tmpdir_base", "/dev/shm"}},
      // Fixed transports keep Open MPI from probing networks that one machine does not need.
      // Between machines it must choose, or it would miss the fast one.
      {placement.one_machine, {"--mca", "pml", "ob1"}, {"--mca", "pml", "ob1"}},
      {placement.one_machine, {"--mca", "btl", "self,vader,tcp"}, {"--mca", "btl", "self,sm,tcp"}},
  };
}

// In a sentence.
std::string named(const MpiVersion& version) {
  return version.flavour == MpiFlavour::kUnknown ? "an unknown MPI" : text_of(version);
}

}  // namespace

void check_same_mpi(const MpiVersion& library, const MpiVersion& mpirun) {
  const int major = major_of(library);
  CLOZE_REQUIRE(library.flavour == MpiFlavour::kOpenMpi && (major == 4 || major == 5),
                ExitCode::kUsage,
                str("this program is linked with ", named(library),
                    ", and launch knows the options of Open MPI 4 and 5"),
                "start the ranks with that library's own mpirun: mpirun -n N cloze train CONFIG");
  CLOZE_REQUIRE(
      mpirun.flavour == library.flavour && major_of(mpirun) == major, ExitCode::kUsage,
      str("the mpirun in PATH is of ", named(mpirun), ", this program is linked with ",
          named(library)),
      str("put the mpirun of ", named(library), " first in PATH (Debian calls it mpirun.openmpi)"));
}

std::vector<std::string> mpirun_command(const MpiVersion& mpi, const RankPlacement& placement,
                                        const std::vector<std::string>& program) {
  Words command = {"mpirun", "-n", std::to_string(placement.num_ranks)};
  for (const Option& option : options_for(placement)) {
    if (!option.wanted) continue;
    const Words& words = major_of(mpi) == 4 ? option.open_mpi_4 : option.open_mpi_5;
    command.insert(command.end(), words.begin(), words.end());
  }
  command.insert(command.end(), program.begin(), program.end());
  return command;
}

}  // namespace cloze
