// Prepares this rank's microbatches ahead in a thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "data/batch_builder.h"
#include "data/batch_plan.h"
#include "data/sample_source.h"

namespace cloze {

struct LoaderOptions {
  MicrobatchOptions microbatch = {};
  std::int64_t prefetch = 4;                       // Most microbatches ready ahead, at least 1.
  std::int64_t max_bytes = std::int64_t{1} << 28;  // Of those; one is always allowed.
};

// Bytes of a batch's vectors.
std::int64_t num_bytes(const Batch& batch);

class Loader {
 public:
  // The source must outlive the loader. Begins at `first_step` at once, whatever its number.
  Loader(const SampleSource& source, BatchPlan plan, const LoaderOptions& options,
         std::int64_t first_step = 0);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  ~Loader();  // Stops the thread; batches not taken are lost.

  // The microbatches of the next step of this replica, in order. An error of the thread is thrown
  // here, at the step it befell, and at every call after.
  std::vector<Batch> next_step();
  // The step that next_step() returns next.
  std::int64_t step() const { return step_; }

  // Goes on at `step`.
  void seek(std::int64_t step);

  // Seconds that next_step() has waited for the thread since the start.
  double wait_seconds() const { return wait_seconds_; }
  // What became of the windows so far, prefetched ones included.
  RowCounts counts() const;

 private:
  void start();
  void stop();
  void prepare();  // The thread.
  Batch next();

  const SampleSource& source_;
  const BatchPlan plan_;
  const LoaderOptions options_;
  std::int64_t step_;
  double wait_seconds_ = 0;

  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::int64_t ready_bytes_ = 0;
  std::exception_ptr error_;
  bool stopping_ = false;
  RowCounts counts_;

  std::thread thread_;
};

}  // namespace cloze
