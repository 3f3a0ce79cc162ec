#include "parallel/comm/progress_thread.h"

#include <chrono>
#include <utility>

namespace cloze {
namespace {

// A message's answer waits for half of one on average; a wake-up takes some microseconds.
constexpr std::chrono::microseconds kBusyPeriod(100);
constexpr std::chrono::microseconds kIdlePeriod(1000);

}  // namespace

ProgressThread::ProgressThread(std::function<bool()> needed, std::function<void()> progress)
    : needed_(std::move(needed)), progress_(std::move(progress)), thread_([this] { run(); }) {}

ProgressThread::~ProgressThread() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  end_.notify_one();
  thread_.join();
}

void ProgressThread::run() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    const bool busy = needed_();
    if (busy) {
      lock.unlock();
      progress_();
      lock.lock();
    }
    end_.wait_for(lock, busy ? kBusyPeriod : kIdlePeriod, [this] { return ended_; });
  }
}

}  // namespace cloze
