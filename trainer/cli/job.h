// What the commands that may run on many ranks share: MPI, threads, memory, and one line and one
// exit code when anything fails.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/comm/mpi_session.h"
#include "trainer/loop/trainer.h"

namespace cloze {

// Runs `body` on every rank of the job; returns its exit code, or reports what it throws (a rank's
// own error ends the job, one thrown by together() is told once) and returns that code. `body`
// keeps `place` up to date.
int run_job(JobPlace& place, const std::function<int(MpiSession&, Communicator&)>& body);

// `run.threads`: a number, or "auto": OMP_NUM_THREADS, or this node's cores shared by its ranks.
int threads_of(const std::string& wanted, int ranks_of_node);

// kIo unless all that was printed has reached standard output.
void require_standard_output();

// For commands whose ranks share each matrix: the group of this rank's. `wanted` is --tensor, 0
// for all ranks. Ranks beyond the first group have nothing to do: null.
std::unique_ptr<Communicator> tensor_group(MpiSession& session, int wanted);

}  // namespace cloze
