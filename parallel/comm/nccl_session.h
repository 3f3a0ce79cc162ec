// NCCL as one rank uses it, from the first call to the last: communicators that are made, watched
// and ended with a deadline each. NCCL itself has none, and says nothing of a rank that is missing.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/nccl_calls.h"
#include "parallel/device/cuda_runtime.h"
#include "parallel/device/nccl_library.h"

namespace cloze {

// output[j] = parts[0][j] op parts[1][j] op ... on `stream`, as ordered_reduce() does it, of device
// memory. `parts` is read before it returns.
using DeviceReduction =
    std::function<void(void* output, std::span<const void* const> parts, std::int64_t count,
                       at::ScalarType dtype, ReduceOp op, CudaStream stream)>;

// The GPU that a rank computes on, already chosen with set_device.
struct NcclDevice {
  const CudaRuntime& cuda;  // Both tables outlive the session.
  const NcclLibrary& nccl;
  int ordinal;                                 // The GPU, as set_device numbers it.
  at::Device tensors;                          // Where tensors of a call must be.
  CudaUuid uuid;                               // Its identity; two ranks with one are refused.
  std::function<CudaStream()> compute_stream;  // The one on which the rank computes now.
  DeviceReduction reduce;
  // Memory that is used again only by what that stream does after it was let go.
  std::function<at::Tensor(std::int64_t bytes)> make_bytes;
};

// kNeighbors: each with the one before and the one after it, the last with the first.
enum class Peers { kAll, kNeighbors };

class NcclSession {
 public:
  struct Options {
    std::chrono::milliseconds deadline;  // For every call, and for making a communicator.
    std::chrono::milliseconds watch_every{100};
    bool share_gpus = false;  // Ranks may be on one GPU: NCCL refuses or takes it.
    // How long the ending of all communicators may take: NCCL's own can hang.
    std::chrono::milliseconds abort_deadline{10000};
    // Called where NCCL makes the identity of a job, once it has read its own files (nccl.conf),
    // which set variables: throws Error kUsage when one of them replaces that identity.
    std::function<void()> check_environment = {};
    // Called once, when a call fails or is overdue, or NCCL reports an error of another rank, on
    // the thread that finds it; afterwards every call throws the same error. `calls` is
    // NcclCalls::json(). Communicators end after it.
    std::function<void(const Error& error, const std::string& calls)> on_failure = {};
    // Called after that, when they have ended or the time for it is over.
    std::function<void(const Error& error)> after_abort = {};
  };

  // Every rank of `host` calls it: the communicator of all ranks that carries CPU tensors, and with
  // it the identity of the new one. Throws Error kUsage when ranks have different versions of NCCL
  // or share a GPU unasked, kTransient when NCCL is not ready before the deadline.
  NcclSession(const NcclDevice& device, Communicator& host, Options options);
  NcclSession(const NcclSession&) = delete;
  NcclSession& operator=(const NcclSession&) = delete;
  // All communicators made from it are gone by then.
  ~NcclSession();

  // Every rank of the world calls it, in the same order, each with the members of its own group:
  // world ranks in the order of the group. `urgent`: its transfers go before those of others.
  // `peers`: between which of them something will be sent.
  std::unique_ptr<Communicator> communicator(const std::string& name,
                                             const std::vector<int>& members, bool urgent,
                                             Peers peers = Peers::kAll);

  const NcclDevice& device() const { return device_; }
  NcclCalls& calls() { return calls_; }

  // Throws the failure, when there has been one.
  void check_alive() const;
  // The rank's thread in a call of the device or of NCCL, which the watching thread looks at: one
  // that does not return is overdue, too. One may live inside another.
  class Busy {
   public:
    explicit Busy(const NcclSession& session);
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy();

   private:
    const NcclSession& session_;
  };
  // The same, and no communicator ends meanwhile.
  class Inside {
   public:
    explicit Inside(const NcclSession& session) : busy_(session), lock_(session.mutex_) {}

   private:
    const Busy busy_;
    const std::unique_lock<std::recursive_mutex> lock_;
  };

  // Makes a call of NCCL on a communicator that is alive. Throws Error kTransient with NCCL's words
  // and `what` when it fails, and the failure when there has been one.
  template <typename Call>
  void call(NcclComm comm, const std::string& what, const Call& make) const {
    const Inside inside(*this);
    throw_failure();
    check(make(), comm, what);
  }
  // Returns when `comm` has no call in progress. Throws when one failed or the deadline passes.
  void settle(NcclComm comm, const std::string& what) const;
  // Calls `body`; when NCCL, a failed GPU or the deadline ends it (kTransient), everything of this
  // rank fails. An error of another kind is told by who catches it.
  template <typename Body>
  void guarded(const Body& body) {
    try {
      const Busy busy(*this);
      body();
    } catch (const Error& error) {
      fail_all(error);
      throw;
    }
  }

  // Looks once, as the watching thread does.
  void watch();

 private:
  friend class NcclCommunicator;

  void agree_on_versions(Communicator& host) const;
  void refuse_shared_gpus(Communicator& host) const;
  void join_world(Communicator& host);
  void throw_failure() const;
  void check(NcclResult result, NcclComm comm, const std::string& what) const;
  void wait_until(const std::function<bool()>& ready, const std::string& what) const;
  NcclConfig config_for(const std::string& name);
  CudaStream make_stream(bool urgent) const;
  NcclComm split(const std::string& name, int rank, const std::vector<int>& members);
  // Ends communicator and stream of a group; all communicators at once when something has failed.
  void end(NcclComm comm, CudaStream stream) noexcept;
  void finalize(NcclComm comm);
  std::string find_problem();
  // What is told, and what ends everything: once, whoever finds it first.
  void fail_all(const Error& error);
  // The oldest first, which all others are parts of.
  void abort_all() noexcept;

  const NcclDevice device_;
  const Options options_;
  const int rank_;
  mutable NcclCalls calls_;
  std::deque<std::string> names_;  // Of the groups: NCCL may read one after the call that got it.
  NcclComm world_ = nullptr;       // Of which all others are parts.

  mutable std::recursive_mutex mutex_;  // Who calls NCCL.
  // Each communicator that was asked for, null before NCCL has made it and after its end. NCCL
  // writes to a place when it gets to it, whoever has given up by then: places stay, and the thread
  // that ends communicators holds them.
  std::shared_ptr<std::deque<NcclComm>> comms_ = std::make_shared<std::deque<NcclComm>>();
  mutable int busy_depth_ = 0;                                     // Of the rank's thread.
  mutable std::atomic<NcclCall::Clock::time_point> busy_since_{};  // Zero: not busy.

  mutable std::mutex failure_mutex_;
  std::optional<Error> failure_;
  std::atomic<bool> has_failed_ = false;

  std::mutex watch_mutex_;
  std::condition_variable_any ended_;
  std::jthread watcher_;
};

}  // namespace cloze
