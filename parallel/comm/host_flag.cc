// The flag lies in an MPI window of shared memory.
#include "parallel/comm/host_flag.h"

#include <new>

#include "parallel/comm/mpi_progress.h"

namespace cloze {

static_assert(std::atomic<bool>::is_always_lock_free, "a lock would be this process's own");

HostFlag::HostFlag(MPI_Comm host) {
  int rank = 0;
  check_mpi(MPI_Comm_rank(host, &rank), "MPI_Comm_rank");
  void* memory = nullptr;
  const MPI_Aint bytes = rank == 0 ? sizeof(std::atomic<bool>) : 0;
  check_mpi(MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, host, &memory, &window_),
            "MPI_Win_allocate_shared");
  MPI_Aint size = 0;
  int unit = 0;
  check_mpi(MPI_Win_shared_query(window_, 0, &size, &unit, &memory), "MPI_Win_shared_query");
  if (rank == 0) new (memory) std::atomic<bool>(false);
  check_mpi(MPI_Barrier(host), "MPI_Barrier");
  flag_ = static_cast<std::atomic<bool>*>(memory);
}

HostFlag::~HostFlag() { MPI_Win_free(&window_); }

}  // namespace cloze
