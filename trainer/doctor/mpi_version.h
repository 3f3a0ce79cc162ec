// Which MPI the program is linked with, and whether the mpirun of the PATH starts that one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

enum class MpiFlavour : std::uint8_t { kUnknown, kOpenMpi, kMpich, kMvapich, kIntel, kCray };

struct MpiVersion {
  MpiFlavour flavour = MpiFlavour::kUnknown;
  std::vector<int> numbers{};  // {4, 1, 4}; empty when the text has none.

  bool operator==(const MpiVersion&) const = default;
};

// Of MPI_Get_library_version.
MpiVersion parse_mpi_library(std::string_view text);
// Of `mpirun --version`. MPICH and MVAPICH share a launcher, Hydra: it is kMpich here.
MpiVersion parse_mpirun(std::string_view text);

// "Open MPI 4.1.4".
std::string text_of(const MpiVersion& version);
// The same of what MPI_Get_library_version gave: its first line when it is of no known kind.
std::string mpi_library_name(std::string_view library_text);

// What is in the PATH. `path` is empty when there is none.
struct MpirunFound {
  std::string path{};
  std::string version_text{};
};
MpirunFound find_mpirun();

// Of mpi_thread_level(): training needs "funneled" at least.
CheckResult check_thread_level(const std::string& level);
CheckResult check_mpi_library(std::string_view library_text);
// `launched`: another launcher, such as srun, or an mpirun that is not in the PATH, has started
// this job, so that none is missing.
CheckResult check_mpirun(std::string_view library_text, const MpirunFound& found, bool launched);

}  // namespace cloze
