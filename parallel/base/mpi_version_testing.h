// What MPI libraries and their mpiruns say of themselves, for tests.
#pragma once

namespace cloze {

inline constexpr const char* kOpenMpi4 =
    "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022";
inline constexpr const char* kOpenMpi5 =
    "Open MPI v5.0.7, package: Open MPI builder@host Distribution, ident: 5.0.7, repo rev: "
    "v5.0.7, Feb 14, 2025";
inline constexpr const char* kMpich =
    "MPICH Version:      4.0.2\nMPICH Release date: Thu Apr  7 12:34:45 CDT 2022\n"
    "MPICH ABI:          14:2:2\nMPICH Device:       ch4:ofi\n";
inline constexpr const char* kMvapich =
    "MVAPICH2 Version      :\t2.3.7\nMVAPICH2 Release date :\tWed March 02 22:00:00 EST 2022\n"
    "MVAPICH2 Device       :\tch3:mrail\n";
inline constexpr const char* kIntel = "Intel(R) MPI Library 2021.9 for Linux* OS\n";
inline constexpr const char* kCray =
    "MPI VERSION    : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)\n"
    "MPI BUILD INFO : Sun Feb 26 15:15 2023 (git hash aecd99f)\n";

inline constexpr const char* kOpenMpirun4 =
    "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n";
inline constexpr const char* kOpenMpirun5 =
    "mpirun (Open MPI) 5.0.7\n\nReport bugs to https://www.open-mpi.org/community/help/\n";
inline constexpr const char* kHydra =
    "HYDRA build details:\n    Version:                                 4.0.2\n"
    "    Release Date:                            Thu Apr  7 12:34:45 CDT 2022\n"
    "    CC:                              gcc -g -O2\n";
inline constexpr const char* kIntelMpirun =
    "Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307 (id: d82b3071db)\n"
    "Copyright 2003-2023, Intel Corporation.\n";

}  // namespace cloze
