// The MPI library that this program is linked with.
#pragma once

#include <string>

namespace cloze {

// Its own words, such as "Open MPI v4.1.4, package: ..."; also before MPI has started.
std::string mpi_library_version();

// What it lets threads do, while MPI runs: "single", "funneled", "serialized" or "multiple".
std::string mpi_thread_level();

}  // namespace cloze
