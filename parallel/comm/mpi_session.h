// MPI, started and ended. One per process, in main(); no other code starts or ends MPI.
#pragma once

#include <mpi.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/host_flag.h"

namespace cloze {

class MpiProgress;
class ProgressThread;

// All calls come from one thread, the one that drives the rank. Ranks of several hosts, and those
// that may not read each other's memory, have another one that lets MPI move messages meanwhile.
class MpiSession {
 public:
  MpiSession(int& argc, char**& argv);
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  // Ends MPI. While an exception unwinds the stack it aborts the job instead, since the other
  // ranks may wait for this one for ever.
  ~MpiSession();

  int world_rank() const { return world_rank_; }
  int world_size() const { return world_size_; }
  int local_rank() const { return local_rank_; }  // Among the ranks of this host.
  int local_size() const { return local_size_; }

  // How long a communicator made from now on waits for the other ranks: run.deadline_seconds.
  void set_deadline(std::chrono::seconds deadline) { deadline_ = deadline; }
  std::chrono::seconds deadline() const { return deadline_; }

  // Every rank of the world calls it, in the same order, each with the members of its own group:
  // world ranks in the order of the group. The session outlives the communicator.
  std::unique_ptr<Communicator> communicator(const std::string& name,
                                             const std::vector<int>& members);
  // The same as a function, which the session outlives.
  MakeGroup make_group() {
    return [this](const std::string& name, const std::vector<int>& members) {
      return communicator(name, members);
    };
  }

  // True for the first rank of this host that asks: it reports why the job ends, and the ranks
  // that fail after it stay silent. No message is sent.
  bool claim_report() { return reported_->raise(); }

  // Ends all ranks of the job with `code`.
  [[noreturn]] void abort(ExitCode code);

 private:
  int world_rank_ = 0;
  int world_size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  int exceptions_at_start_ = 0;
  std::chrono::seconds deadline_{600};
  std::unique_ptr<MpiProgress> progress_;
  std::unique_ptr<ProgressThread> thread_;  // Null where the ranks do without.
  std::unique_ptr<HostFlag> reported_;
};

}  // namespace cloze
