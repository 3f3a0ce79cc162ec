// Calls in flight over MPI. MPI moves nothing on its own while a rank computes, and a call may
// need several rounds; so whoever waits for one call, or tests one, drives all of this rank.
// Between ranks that cannot read each other's memory, MpiSession has a thread that lets MPI move
// the messages of the current round meanwhile; the rounds are the rank's own thread's.
#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace cloze {

// Throws Error kTransient with MPI's own words when `code` is not MPI_SUCCESS.
void check_mpi(int code, const char* call);

class MpiOperation;

// The calls of one rank that have rounds to come, and the memory they receive into.
class MpiProgress {
 public:
  // At least `bytes` of scratch memory, kept for the next call when given back.
  at::Tensor take_staging(std::int64_t bytes);
  void give_staging(at::Tensor staging);

  void add(MpiOperation* operation) { operations_.push_back(operation); }
  void remove(MpiOperation* operation) { std::erase(operations_, operation); }
  void poll();

  // Calls that have begun and are not done.
  void begin() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void end() { in_flight_.fetch_sub(1, std::memory_order_relaxed); }
  void set_waiting(bool waiting) { waiting_.store(waiting, std::memory_order_relaxed); }
  // From any thread: whether there are such calls, and nobody waits for them.
  bool is_left_alone() const {
    return in_flight_.load(std::memory_order_relaxed) > 0 &&
           !waiting_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<int> in_flight_ = 0;
  std::atomic<bool> waiting_ = false;
  std::vector<MpiOperation*> operations_;
  std::vector<at::Tensor> free_staging_;
};

// One call: messages in flight, and the rounds that follow once they are done.
class MpiOperation final : public Work::Pending {
 public:
  struct Place {  // What the call is, for messages and errors.
    MPI_Comm comm;
    int tag;
    const std::string& group;  // "tensor"; the communicator's.
    const char* call;          // "all_reduce".
    std::int64_t number;       // Calls of the group before this one.
    int rank;                  // In the group.
    int size;
    std::chrono::seconds deadline;
    std::int64_t max_message_bytes;  // Longer ones are cut.
  };

  MpiOperation(MpiProgress& progress, const Place& place);
  MpiOperation(const MpiOperation&) = delete;
  MpiOperation& operator=(const MpiOperation&) = delete;
  ~MpiOperation() override;

  void send(const void* data, std::int64_t bytes, int peer);
  void receive(void* data, std::int64_t bytes, int peer);
  void broadcast(void* data, std::int64_t bytes, int root);
  void barrier();
  void set_tag(int tag) { place_.tag = tag; }

  // Scratch memory until the call is done.
  std::byte* staging(std::int64_t bytes);

  // `round` runs when all messages before it are done; it may post more.
  void then(std::function<void()> round) { rounds_.push_back(std::move(round)); }
  // Whether a later round posts messages that others wait for: every wait of this rank then
  // drives this call too.
  void drive_from_anywhere();

  bool test() override;
  void wait() override;
  // One step without polling the others; true when done.
  bool advance();

 private:
  std::string describe() const;
  void set_done();

  MpiProgress& progress_;
  Place place_;
  std::vector<MPI_Request> requests_;
  std::vector<std::function<void()>> rounds_;
  std::size_t next_round_ = 0;
  at::Tensor staging_;
  bool driven_ = false;
  bool done_ = false;
};

}  // namespace cloze
