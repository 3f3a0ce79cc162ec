// What SimulatedGpus is made of; only its two sources include it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/simulated_gpus.h"

namespace cloze::simulated {

struct Event {
  SimulatedGpus::State* state;
  int gpu = 0;
  std::int64_t recorded = 0;  // Times.
  std::int64_t completed = 0;
};

// Ranks that share a communicator.
struct Ring {
  int number = 0;
  std::vector<int> world_ranks;
};

struct Comm {
  SimulatedGpus::State* state;
  int world_rank = 0;
  NcclComm* place = nullptr;        // Where the caller will find it.
  Comm* making = nullptr;           // What the call in progress makes of it.
  std::shared_ptr<Ring> ring = {};  // Null until all its ranks have come.
  int rank = 0;
  std::string name = {};
  std::int64_t num_collectives = 0;
  std::map<int, std::int64_t> num_sent = {};  // By peer.
  std::map<int, std::int64_t> num_received = {};
  std::int64_t num_splits = 0;
  int num_pending = 0;       // Items in streams.
  bool is_settling = false;  // The last call is in progress until somebody asks.
  bool is_finalizing = false;
  bool is_aborted = false;
  NcclResult async_error = kNcclSuccess;
};

// Ranks that come together to make communicators: those of one color share one.
struct Meeting {
  struct Guest {
    Comm* comm;  // Null: of no color.
    int world_rank, color, key;
  };
  std::vector<Guest> guests;
};

enum class Kind : std::uint8_t { kAllGather, kBroadcast, kSend, kReceive };

// One NCCL call, as part of an item in a stream.
struct Part {
  Kind kind{};
  Comm* comm = nullptr;
  const void* from = nullptr;
  void* to = nullptr;
  std::size_t bytes = 0;
  int peer = 0;             // Or root.
  std::int64_t number = 0;  // Of the collective, or of the message between the two.
  std::size_t digest = 0;   // Of what is sent, when it begins.
  bool is_done = false;
};

// What a stream holds: a kernel, an event's record, a wait for one, or transfers that begin
// together.
struct Item {
  std::function<void()> kernel = {};
  Event* record = nullptr;
  Event* wait = nullptr;
  std::int64_t version = 0;  // Of the event.
  std::vector<Part> parts = {};
  int rank = 0;             // Whose transfers they are,
  std::int64_t ticket = 0;  // and the order in which it queued them.
  bool is_active = false;
};

struct Stream {
  int rank = 0;
  bool is_immediate = false;
  bool is_compute = false;  // The one that the rank computes on.
  std::deque<Item> items = {};
};

struct Fault {
  std::string function;
  int count = 0;
  NcclResult result = kNcclSuccess;
};

struct RankState {
  Stream compute;
  int group_depth = 0;
  std::vector<std::pair<Part, Stream*>> grouped;
  std::deque<std::int64_t> tickets;  // Of transfers that are queued and not done.
  std::int64_t num_transfers = 0;
  std::vector<std::string> calls;
  std::vector<Fault> faults;
  std::set<std::string> blocked;   // Functions that do not return.
  std::vector<at::Tensor> memory;  // Held until the end.
  bool is_in = false;
  // What its thread waits for; null while it does not.
  const Event* awaited = nullptr;
  std::int64_t awaited_version = 0;
  bool hangs = false;
};

// What the tables' handles are.
inline Comm* comm_of(NcclComm comm) { return reinterpret_cast<Comm*>(comm); }
inline Event* event_of(CudaEvent event) { return reinterpret_cast<Event*>(event); }
inline Stream* stream_of(CudaStream stream) { return reinterpret_cast<Stream*>(stream); }

const CudaRuntime& cuda_functions();

}  // namespace cloze::simulated

namespace cloze {

// Guarded by its mutex, but for what is one rank's own.
struct SimulatedGpus::State {
  State(int num_ranks, const Options& given);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  // Of the rank whose thread this is.
  static thread_local State* current;
  static thread_local int rank;
  static simulated::RankState& mine() { return current->ranks[rank]; }
  // What this thread chose with set_device.
  static thread_local int gpu;
  int gpu_of(int of_rank) const {
    return options.num_gpus == 0 ? of_rank : of_rank % options.num_gpus;
  }
  // Whether this thread has chosen the GPU that `what` is of. Told when it has not.
  void check_gpu(int of_gpu, const char* what);
  // Returns when the function is not blocked for the rank.
  void pass(std::unique_lock<std::mutex>& lock, int of_rank, const std::string& function);

  // Whether the call of this thread's rank is to fail, and how.
  NcclResult fault(const std::string& function);
  // A rank comes to where the others come to make communicators.
  void meet(std::pair<int, std::int64_t> place, std::size_t expected,
            const simulated::Meeting::Guest& guest);
  // Adds to what the rank's group has; puts it on its stream when there is none.
  NcclResult queue(const char* function, simulated::Part part, simulated::Stream* stream);
  void flush(simulated::RankState& self);
  void put(simulated::Stream& stream, simulated::Item item);
  void abort(simulated::Comm& comm);

  // Goes on until the event has been completed as often as `version`. Throws when that cannot be.
  void wait_for(std::unique_lock<std::mutex>& lock, const simulated::Event& event,
                std::int64_t version);
  // One step of one stream, of any rank, that chance chooses; false when there is none.
  bool step_any();
  void tell(const std::string& what);

  const Options options;
  std::mutex mutex;
  std::condition_variable moved;
  std::mt19937_64 chance;
  std::vector<simulated::RankState> ranks;
  std::set<simulated::Comm*> comms;  // Neither destroyed nor aborted.
  std::set<simulated::Event*> events;
  std::set<simulated::Stream*> streams;
  std::vector<std::unique_ptr<simulated::Comm>> aborted;
  std::string problem;  // Why nothing goes on; empty while it does.

 private:
  bool step(simulated::Stream& stream);
  void match(simulated::Part& part);
  void match_message(simulated::Part& part);
  void match_collective(simulated::Part& part);
  void check_unchanged(const simulated::Part& part);
  void forget(const simulated::Item& item);
  void finish(const simulated::Item& item);
  bool nobody_moves() const;
  void maybe_step();

  // What has begun and lacks others: by ring and number; by ring, sender, receiver and number.
  std::map<std::tuple<int, std::int64_t>, std::vector<simulated::Part*>> collectives_;
  std::map<std::tuple<int, int, int, std::int64_t>, simulated::Part*> messages_;
  std::map<std::pair<int, std::int64_t>, simulated::Meeting> meetings_;  // By ring and number.
  int num_rings_ = 0;
};

}  // namespace cloze
