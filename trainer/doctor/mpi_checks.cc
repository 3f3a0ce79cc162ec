#include "trainer/doctor/mpi_checks.h"

#include <chrono>

#include "parallel/base/check.h"
#include "parallel/base/mpi_version.h"
#include "trainer/doctor/program.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

// Both are started by Hydra, which speaks one language with all of them.
bool by_hydra(MpiFlavour flavour) {
  return flavour == MpiFlavour::kMpich || flavour == MpiFlavour::kMvapich ||
         flavour == MpiFlavour::kCray;
}

}  // namespace

MpirunFound find_mpirun() {
  constexpr std::chrono::seconds kLimit(10);
  const ProgramOutput path = run_program({"sh", "-c", "command -v mpirun"}, kLimit);
  if (path.code != 0) return {};
  MpirunFound found{.path = std::string(trimmed(path.text))};
  const ProgramOutput version = run_program({"mpirun", "--version"}, kLimit);
  found.version_text = version.timed_out ? "" : version.text;
  return found;
}

CheckResult check_thread_level(const std::string& level) {
  CheckResult check{.name = "mpi.threads", .value = level, .scope = Scope::kRank};
  if (level == "single") {
    complain(check, Status::kFail, "this MPI allows no thread beside the one that calls it",
             "use an MPI built with threads, such as Debian's openmpi-bin");
  }
  return check;
}

CheckResult check_mpi_library(std::string_view library_text) {
  CheckResult check{.name = "mpi.library", .value = mpi_library_name(library_text)};
  if (parse_mpi_library(library_text).flavour != MpiFlavour::kOpenMpi) {
    complain(check, Status::kWarn, "this program is tested with Open MPI",
             "link it with Open MPI 4.1 or newer, or run scripts/test with this one");
  }
  return check;
}

CheckResult check_mpirun(std::string_view library_text, const MpirunFound& found, bool launched) {
  CheckResult check{.name = "mpi.mpirun"};
  const MpiVersion library = parse_mpi_library(library_text);
  const std::string linked = mpi_library_name(library_text);
  if (found.path.empty()) {
    check.value = std::string("none in PATH");
    if (!launched) {
      complain(check, Status::kWarn, "a job of more than one rank needs it",
               str("install the mpirun of ", linked, " (Debian: openmpi-bin), or add it to PATH"));
    }
    return check;
  }
  const MpiVersion launcher = parse_mpirun(found.version_text);
  check.value = text_of(launcher);
  check.detail = found.path;
  if (launcher.flavour == MpiFlavour::kUnknown || library.flavour == MpiFlavour::kUnknown) {
    complain(check, Status::kWarn,
             str("mpirun --version cannot be compared with the linked ", linked),
             "check by hand that both are of one installation");
    return check;
  }
  const bool same_kind = launcher.flavour == library.flavour ||
                         (launcher.flavour == MpiFlavour::kMpich && by_hydra(library.flavour));
  const bool both_numbered = !launcher.number.empty() && !library.number.empty();
  const std::string fix = str("put the folder of the mpirun of ", linked,
                              " first in PATH (Debian: update-alternatives --config mpirun), or "
                              "call it by its whole path");
  if (!same_kind || (launcher.flavour == MpiFlavour::kOpenMpi && both_numbered &&
                     major_of(launcher) != major_of(library))) {
    complain(check, Status::kFail,
             str("this program is linked with ", linked,
                 ": each of its ranks would be alone in a job of one"),
             fix);
  } else if (launcher.flavour == library.flavour && both_numbered &&
             launcher.number != library.number) {
    complain(check, Status::kWarn, str("this program is linked with ", linked), fix);
  }
  return check;
}

}  // namespace cloze
