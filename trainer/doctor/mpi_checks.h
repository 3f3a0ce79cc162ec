// Which MPI the program is linked with, and whether the mpirun of the PATH starts that one.
#pragma once

#include <string>
#include <string_view>

#include "trainer/doctor/check_result.h"

namespace cloze {

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
