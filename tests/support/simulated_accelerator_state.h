// What the simulated accelerator is made of; only its sources include it.
#pragma once

#include <c10/core/Allocator.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "tests/support/simulated_accelerator.h"

namespace cloze::simulated {

constexpr auto kType = c10::DeviceType::PrivateUse1;

using Action = std::function<void()>;

// Something that a stream has been given, by its number in it.
struct Place {
  std::size_t stream = 0;
  std::int64_t number = 0;
};

// All calls are made under one lock, actions too.
class Streams {
 public:
  void seed(const AcceleratorOptions& options) {
    early_ = options.early;
    random_.seed(options.seed);
  }

  std::size_t add() {
    queues_.emplace_back();
    return queues_.size() - 1;
  }

  Place end_of(std::size_t stream) const { return {stream, queues_[stream].given}; }
  bool is_done(const Place& place) const { return queues_[place.stream].done >= place.number; }

  void give(std::size_t stream, Action action) {
    Queue& queue = queues_[stream];
    ++queue.given;
    queue.waiting.push_back(std::move(action));
    if (stream == 0) {
      finish(end_of(stream));
    } else {
      something_early();
    }
  }

  void finish(const Place& place) {
    while (!is_done(place)) {
      Queue& queue = queues_[place.stream];
      const Action action = std::move(queue.waiting.front());
      queue.waiting.pop_front();
      action();  // May finish places of other streams, which were given before.
      ++queue.done;
    }
  }

  void finish_all() {
    for (std::size_t stream = 0; stream < queues_.size(); ++stream) finish(end_of(stream));
  }

 private:
  struct Queue {
    std::int64_t given = 0;
    std::int64_t done = 0;
    std::deque<Action> waiting;
  };

  void something_early() {
    if (std::uniform_real_distribution<double>()(random_) >= early_) return;
    const auto stream = std::uniform_int_distribution<std::size_t>(0, queues_.size() - 1)(random_);
    Queue& queue = queues_[stream];
    if (!queue.waiting.empty()) finish({stream, queue.done + 1});
  }

  std::deque<Queue> queues_ = std::deque<Queue>(1);
  std::mt19937_64 random_;
  double early_ = 0;
};

// A piece of device memory. Later work of its stream may write to it as soon as it is given back,
// once the other streams that were recorded are done with it.
struct Block {
  std::size_t bytes = 0;
  std::size_t stream = 0;
  AcceleratorMemory* account = nullptr;  // Of the rank whose memory it is.
  std::vector<std::size_t> users = {};
};

struct Accelerator {
  std::recursive_mutex mutex;
  Streams streams;
  std::map<void*, Block> blocks;  // In use.
  // What was given back, by stream and size: never the system's again, so that late work finds the
  // pattern there.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<void*>> pool;
  std::deque<AcceleratorMemory> accounts;  // One a thread.
  std::int64_t copies = 0;

  static Accelerator& one();
};

// The stream that a thread has chosen.
std::size_t& current_stream();

c10::Allocator* device_allocator();
c10::Allocator* pinned_allocator();
bool is_pinned(const void* address);

}  // namespace cloze::simulated
