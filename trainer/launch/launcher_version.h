// Which MPI it is, by what a library and an mpirun say of themselves.
#pragma once

#include <string>
#include <string_view>

namespace cloze {

struct LauncherVersion {
  std::string name{};    // "Open MPI", "MPICH", "Intel MPI"; empty when it is none of these.
  int major = 0;         // 4 of 4.1.4.
  std::string number{};  // "4.1.4".
  bool operator==(const LauncherVersion&) const = default;
};
std::string text_of(const LauncherVersion& version);  // "Open MPI 4.1.4".

// From what MPI_Get_library_version or `mpirun --version` says.
LauncherVersion launcher_version_of(std::string_view said);

// Throws Error kUsage unless `mpirun` starts programs that are linked with `library`, and this
// program knows its options. Ranks started by another MPI would each believe to be alone.
void check_same_mpi(const LauncherVersion& library, const LauncherVersion& mpirun);

}  // namespace cloze
