// Which MPI it is, by what a library and an mpirun say of themselves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cloze {

enum class MpiFlavour : std::uint8_t { kUnknown, kOpenMpi, kMpich, kMvapich, kIntel, kCray };

struct MpiVersion {
  MpiFlavour flavour = MpiFlavour::kUnknown;
  std::string number{};  // "4.1.4", "5.1.0rc1"; empty when the text has none.
  bool operator==(const MpiVersion&) const = default;
};

// 4 of 4.1.4; 0 without a number.
int major_of(const MpiVersion& version);
// "Open MPI 4.1.4", "unknown MPI".
std::string text_of(const MpiVersion& version);

// Of MPI_Get_library_version.
MpiVersion parse_mpi_library(std::string_view text);
// Of `mpirun --version`. MPICH and MVAPICH share a launcher, Hydra: it is kMpich here.
MpiVersion parse_mpirun(std::string_view text);

// text_of() what MPI_Get_library_version gave: its first line when it is of no known kind.
std::string mpi_library_name(std::string_view library_text);

}  // namespace cloze
