// One flag that the ranks of a host share, without messages: it works when ranks no longer answer.
#pragma once

#include <mpi.h>

#include <atomic>

namespace cloze {

// All ranks of `host` make it, and end it, together.
class HostFlag {
 public:
  explicit HostFlag(MPI_Comm host);
  HostFlag(const HostFlag&) = delete;
  HostFlag& operator=(const HostFlag&) = delete;
  ~HostFlag();

  // True for the first rank that raises it, false for all that come later.
  bool raise() { return !flag_->exchange(true); }

 private:
  MPI_Win window_ = MPI_WIN_NULL;  // The first rank's memory, mapped by all.
  std::atomic<bool>* flag_ = nullptr;
};

}  // namespace cloze
