#include "parallel/comm/mpi_library.h"

#include <mpi.h>

#include <algorithm>
#include <array>

namespace cloze {

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "";
  return {text.data(), static_cast<std::size_t>(std::max(0, length))};
}

}  // namespace cloze
