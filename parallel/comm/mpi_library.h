// The MPI library that this program is linked with.
#pragma once

#include <string>

namespace cloze {

// What it says of itself, such as "Open MPI v4.1.4, package: ...". MPI need not be started.
std::string mpi_library();

}  // namespace cloze
