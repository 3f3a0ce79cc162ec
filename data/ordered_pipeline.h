// Work on a sequence by several threads whose results are consumed in the sequence's order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace cloze {

// What runs: `produce` in one thread, a function made by `make_worker` in each worker thread,
// `consume` in the thread that calls run(). An exception of any ends the run and is thrown again
// there; of several, the one that comes first in the sequence, so it does not depend on timing.
template <typename Item, typename Result>
class OrderedPipeline {
 public:
  using Work = std::function<Result(const Item&)>;

  std::function<bool(Item&)> produce;  // False at the end.
  std::function<std::int64_t(const Item&)> weight;
  std::function<Work()> make_worker;
  std::function<void(Result&)> consume;
  // Items that are produced and not yet consumed: so many at most, and of so much weight, but
  // for one that weighs more by itself.
  std::int64_t max_items = 1;
  std::int64_t max_weight = 1;

  void run(int num_workers) {
    // Joins its threads when it ends, after they were told to end.
    struct Threads {
      OrderedPipeline& pipeline;
      std::vector<std::jthread> running;
      ~Threads() { pipeline.stop(); }
    };
    Threads threads{*this, {}};
    threads.running.emplace_back([this] { run_producer(); });
    for (int i = 0; i < num_workers; ++i) threads.running.emplace_back([this] { run_worker(); });
    consume_all();
  }

 private:
  struct Numbered {
    std::int64_t number;
    std::int64_t weight;
    Item item;
  };
  struct Outcome {
    std::optional<Result> result;
    std::exception_ptr error;
    std::int64_t weight = 0;
  };

  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }

  void finish(std::int64_t number, Outcome outcome) {
    const std::lock_guard lock(mutex_);
    outcomes_.emplace(number, std::move(outcome));
    changed_.notify_all();
  }

  void run_producer() {
    std::int64_t number = 0;
    try {
      for (;; ++number) {
        Item item;
        if (!produce(item)) break;
        const std::int64_t item_weight = weight(item);
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] {
          return stopped_ || in_flight_ == 0 ||
                 (in_flight_ < max_items && weight_in_flight_ + item_weight <= max_weight);
        });
        if (stopped_) return;
        ++in_flight_;
        weight_in_flight_ += item_weight;
        waiting_.push_back({number, item_weight, std::move(item)});
        changed_.notify_all();
      }
    } catch (...) {
      // Takes the place of the item that was not produced: what is before it still counts.
      finish(number++, {std::nullopt, std::current_exception(), 0});
    }
    const std::lock_guard lock(mutex_);
    num_items_ = number;
    changed_.notify_all();
  }

  void run_worker() {
    Work work;
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopped_ || !waiting_.empty() || num_items_; });
      if (stopped_ || waiting_.empty()) return;
      Numbered numbered = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      Outcome outcome;
      outcome.weight = numbered.weight;
      try {
        if (!work) work = make_worker();
        outcome.result.emplace(work(numbered.item));
      } catch (...) {
        outcome.error = std::current_exception();
      }
      finish(numbered.number, std::move(outcome));
    }
  }

  void consume_all() {
    for (std::int64_t number = 0;; ++number) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return outcomes_.contains(number) || (num_items_ && number >= *num_items_);
      });
      auto found = outcomes_.extract(number);
      if (found.empty()) return;
      lock.unlock();
      Outcome outcome = std::move(found.mapped());
      if (!outcome.result.has_value()) std::rethrow_exception(outcome.error);
      consume(*outcome.result);
      lock.lock();
      --in_flight_;
      weight_in_flight_ -= outcome.weight;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Numbered> waiting_;              // Produced, in order; for any worker.
  std::map<std::int64_t, Outcome> outcomes_;  // Worked on; for consume, by number.
  std::int64_t in_flight_ = 0;
  std::int64_t weight_in_flight_ = 0;
  std::optional<std::int64_t> num_items_;  // Known when produce has ended.
  bool stopped_ = false;
};

}  // namespace cloze
