#include "parallel/comm/mpi_library.h"

#include <mpi.h>

#include "parallel/comm/mpi_progress.h"

namespace cloze {

std::string mpi_library_version() {
  std::string text(MPI_MAX_LIBRARY_VERSION_STRING, '\0');
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  text.resize(static_cast<std::size_t>(length));
  // Some count the zero at the end.
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

std::string mpi_thread_level() {
  int level = MPI_THREAD_SINGLE;
  check_mpi(MPI_Query_thread(&level), "MPI_Query_thread");
  if (level >= MPI_THREAD_MULTIPLE) return "multiple";
  if (level >= MPI_THREAD_SERIALIZED) return "serialized";
  return level >= MPI_THREAD_FUNNELED ? "funneled" : "single";
}

}  // namespace cloze
