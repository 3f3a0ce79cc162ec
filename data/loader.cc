// The queue between the thread that prepares and the one that trains.
#include "data/loader.h"

#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"

namespace cloze {

namespace {

template <typename T>
std::int64_t bytes_of(const std::vector<T>& row) {
  return static_cast<std::int64_t>(row.size() * sizeof(T));
}

}  // namespace

std::int64_t num_bytes(const Batch& batch) {
  std::int64_t bytes =
      bytes_of(batch.ordinals) + bytes_of(batch.loss_mask) + bytes_of(batch.objective);
  for (const auto* row : {&batch.tokens, &batch.targets, &batch.position, &batch.block_position,
                          &batch.rotary_position, &batch.lo, &batch.hi}) {
    bytes += bytes_of(*row);
  }
  return bytes;
}

Loader::Loader(const SampleSource& source, BatchPlan plan, const LoaderOptions& options,
               std::int64_t first_step)
    : source_(source), plan_(std::move(plan)), options_(options), step_(first_step) {
  const MicrobatchOptions& micro = options.microbatch;
  CLOZE_REQUIRE(options.prefetch >= 1 && options.max_bytes >= 1, ExitCode::kUsage,
                str("data.prefetch is ", options.prefetch), "prepare at least 1 batch ahead");
  CLOZE_REQUIRE(micro.micro_size >= 1, ExitCode::kUsage,
                str("batch.micro_size is ", micro.micro_size), "give at least 1 row");
  CLOZE_CHECK(micro.data_rank >= 0 && micro.data_rank < micro.data_degree,
              str("data rank ", micro.data_rank, " of ", micro.data_degree), "report this");
  start();
}

Loader::~Loader() { stop(); }

void Loader::start() {
  stopping_ = false;
  thread_ = std::thread([this] { prepare(); });
}

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Loader::seek(std::int64_t step) {
  stop();
  step_ = step;
  ready_.clear();
  ready_bytes_ = 0;
  error_ = nullptr;
  start();
}

void Loader::prepare() {
  const MicrobatchOptions& micro = options_.microbatch;
  try {
    BatchBuilder builder(source_, micro.token_multiple);
    RowCounts counted;  // Of this builder, as far as they are in counts_.
    for (std::int64_t step = step_;; ++step) {
      const StepRows rows = plan_.rows(step);
      const std::int64_t microbatches = num_microbatches(rows.global_size, micro);
      for (std::int64_t m = 0; m < microbatches; ++m) {
        Batch batch =
            builder.build(microbatch_ordinal(rows.first_ordinal, m, micro), micro.micro_size);
        const std::int64_t bytes = num_bytes(batch);
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] {
          const bool room = std::cmp_less(ready_.size(), options_.prefetch) &&
                            ready_bytes_ + bytes <= options_.max_bytes;
          return stopping_ || ready_.empty() || room;
        });
        if (stopping_) return;
        ready_.push_back(std::move(batch));
        ready_bytes_ += bytes;
        counts_ += builder.counts() - counted;
        counted = builder.counts();
        changed_.notify_all();
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    changed_.notify_all();
  }
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  const auto begin = Clock::now();
  changed_.wait(lock, [this] { return !ready_.empty() || error_ != nullptr; });
  wait_seconds_ += seconds_since(begin);
  if (ready_.empty()) std::rethrow_exception(error_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  ready_bytes_ -= num_bytes(batch);
  changed_.notify_all();
  return batch;
}

std::vector<Batch> Loader::next_step() {
  const std::int64_t count = num_microbatches(plan_.rows(step_).global_size, options_.microbatch);
  std::vector<Batch> batches;
  batches.reserve(static_cast<std::size_t>(count));
  for (std::int64_t m = 0; m < count; ++m) batches.push_back(next());
  ++step_;
  return batches;
}

RowCounts Loader::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace cloze
