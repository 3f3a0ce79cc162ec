// A mutex that is waited for no longer than a deadline. Of the standard's timed mutexes
// ThreadSanitizer of GCC 12 sees the unlocking and not the locking.
#pragma once

#include <chrono>
#include <mutex>
#include <thread>

namespace cloze {

// Holds the mutex, unless it was not free by `until`.
template <class Mutex>
std::unique_lock<Mutex> locked_until(Mutex& mutex, std::chrono::steady_clock::time_point until) {
  std::unique_lock<Mutex> lock(mutex, std::try_to_lock);
  while (!lock.owns_lock() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    lock.try_lock();
  }
  return lock;
}

}  // namespace cloze
