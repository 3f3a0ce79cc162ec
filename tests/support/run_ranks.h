// Runs a test body on ranks that are threads of this process.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "parallel/comm/local_communicator.h"

namespace cloze {

// Calls body(world, rank) for every rank at once and returns when all are done. The first
// exception ends the others and is thrown again here. A rank that waits longer than `deadline`
// for another is such an exception, so a test cannot hang; nor can it when a rank returns early.
// Every thread computes with one thread and records no tape.
inline void run_ranks(int size, const std::function<void(LocalWorld&, int)>& body,
                      std::chrono::seconds deadline = std::chrono::seconds(60)) {
  LocalWorld world(size, deadline);
  std::mutex mutex;
  std::exception_ptr first;
  const auto run_one = [&](int rank) {
#ifdef _OPENMP
    omp_set_num_threads(1);
#endif
    at::set_num_threads(1);
    const at::NoGradGuard no_tape;
    const auto record = [&](const char* what) {
      {
        const std::scoped_lock lock(mutex);
        if (!first) first = std::current_exception();
      }
      world.abort(rank, what);
    };
    try {
      body(world, rank);
    } catch (const std::exception& error) {
      record(error.what());
    } catch (...) {
      record("an exception of unknown type");
    }
    world.leave(rank);
  };
  std::vector<std::jthread> threads;
  threads.reserve(size);
  for (int rank = 0; rank < size; ++rank) threads.emplace_back(run_one, rank);
  threads.clear();  // Joins.
  if (first) std::rethrow_exception(first);
}

}  // namespace cloze
