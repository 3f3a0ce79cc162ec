// The collectives that one rank has queued on its GPU: which are done, how long the others have
// been there, and what the last of them were when a job hangs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "parallel/device/cuda_runtime.h"

namespace cloze {

// One call of one group.
struct NcclCall {
  using Clock = std::chrono::steady_clock;

  std::int64_t number = 0;           // Among all calls of this rank.
  std::string group;                 // "tensor".
  const char* name = "";             // "all_reduce".
  std::int64_t number_in_group = 0;  // The same on every rank, but for exchange.
  std::int64_t bytes = 0;
  Clock::time_point queued = {};
  Clock::time_point finished = {};
  bool is_queued = false;  // Its event has been recorded.
  bool is_finished = false;
  bool is_held = false;       // A Work will wait for it.
  CudaEvent event = nullptr;  // Follows its last operation.
};

// Owns the events. The rank's thread begins and queues calls; the watching thread asks for them.
class NcclCalls {
 public:
  static constexpr std::size_t kKept = 4096;  // Calls; as many may be in flight.

  explicit NcclCalls(const CudaRuntime& cuda) : cuda_(cuda), calls_(kKept) {}
  NcclCalls(const NcclCalls&) = delete;
  NcclCalls& operator=(const NcclCalls&) = delete;
  ~NcclCalls();

  // A call that is about to be queued; it stays where it is until it is finished and released.
  NcclCall& begin(const std::string& group, const char* name, std::int64_t number_in_group,
                  std::int64_t bytes);
  // Everything of the call is on `stream`.
  void queue(NcclCall& call, CudaStream stream);
  // Nobody will ask for it again.
  void release(NcclCall& call);
  // Whether it is done.
  bool poll(NcclCall& call);

  // Finds out which calls are done. Returns the oldest that has been at the head of its group for
  // longer than `deadline`, described; nothing when there is none, or when the rank is in a call.
  std::optional<std::string> find_overdue(std::chrono::milliseconds deadline);

  // All calls that are kept, the oldest first, as one JSON object: docs/gpu.md. None where the
  // rank's thread does not come back from one.
  std::string json(int rank) const;

 private:
  bool poll_locked(NcclCall& call);

  const CudaRuntime& cuda_;
  mutable std::mutex mutex_;
  std::vector<NcclCall> calls_;  // A ring: call n is at n % kKept.
  std::int64_t num_calls_ = 0;
  std::int64_t first_unfinished_ = 0;  // All before it are finished.
};

}  // namespace cloze
