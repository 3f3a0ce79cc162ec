// A thread that lets a library move messages while the rank computes.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace cloze {

// Libraries such as MPI move a message on only inside their own calls: one that must be answered
// before its data flows stands still while the sender or the receiver computes. This calls
// `progress` every 0.1 ms while `needed` says so, and otherwise looks every millisecond. Both run
// on the thread, `progress` beside whatever the rank does.
class ProgressThread {
 public:
  ProgressThread(std::function<bool()> needed, std::function<void()> progress);
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;
  ~ProgressThread();  // Neither is called afterwards.

 private:
  void run();

  const std::function<bool()> needed_;
  const std::function<void()> progress_;
  std::mutex mutex_;
  std::condition_variable end_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace cloze
