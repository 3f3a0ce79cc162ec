// What tests of NCCL's communicators on simulated GPUs share.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/nccl_session.h"
#include "tests/support/run_ranks.h"
#include "tests/support/simulated_gpus.h"

namespace cloze {

using std::chrono::milliseconds;

// What one rank of a test works with.
struct GpuRank {
  SimulatedGpus::Rank& gpu;
  LocalWorld& hosts;
  int rank;
  NcclSession& session;

  std::unique_ptr<Communicator> everyone(const std::string& name) {
    return session.communicator(name, hosts.everyone(), /*urgent=*/true);
  }
};

struct Setting {
  SimulatedGpus::Options gpus = {};
  milliseconds deadline{20000};
  // Sees the failure of each rank; called by several threads.
  std::function<void(int rank, const Error& error, const std::string& calls)> on_failure = {};
  std::function<void(int rank)> after_abort = {};
  milliseconds abort_deadline{10000};
  std::function<void()> check_environment = {};
};

inline void run_gpu_ranks(int size, SimulatedGpus& gpus, const Setting& setting,
                          const std::function<void(GpuRank)>& body) {
  run_ranks(size, [&](LocalWorld& world, int rank) {
    SimulatedGpus::Rank self(gpus, rank);
    const auto host = world.communicator("host", world.everyone(), rank);
    NcclSession session(self.device(), *host,
                        {.deadline = setting.deadline,
                         .watch_every = milliseconds(5),
                         .abort_deadline = setting.abort_deadline,
                         .check_environment = setting.check_environment,
                         .on_failure =
                             [&](const Error& error, const std::string& calls) {
                               if (setting.on_failure) setting.on_failure(rank, error, calls);
                             },
                         .after_abort =
                             [&](const Error&) {
                               if (setting.after_abort) setting.after_abort(rank);
                             }});
    body({self, world, rank, session});
  });
}

inline void run_gpu_ranks(int size, const Setting& setting,
                          const std::function<void(GpuRank)>& body) {
  SimulatedGpus gpus(size, setting.gpus);
  run_gpu_ranks(size, gpus, setting, body);
  EXPECT_EQ(gpus.num_alive(), 0) << "communicators, events or streams are left";
  EXPECT_EQ(gpus.problem(), "");
}

// The problem of the error that `body` ends with, which must be of kind `code`.
inline std::string problem_of(int size, SimulatedGpus& gpus, const Setting& setting, ExitCode code,
                              const std::function<void(GpuRank)>& body) {
  try {
    run_gpu_ranks(size, gpus, setting, body);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.problem();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// Failures that ranks were told of, by rank.
struct Failures {
  std::mutex mutex;
  std::vector<std::string> problems, calls;
  std::vector<bool> aborted;  // Whether the rank was told that its communicators have ended.

  explicit Failures(int size) : problems(size), calls(size), aborted(size) {}
  Setting setting(milliseconds deadline, milliseconds abort_deadline = milliseconds(10000)) {
    return {.deadline = deadline,
            .on_failure =
                [this](int rank, const Error& error, const std::string& record) {
                  const std::scoped_lock lock(mutex);
                  EXPECT_TRUE(problems[rank].empty()) << "told twice: " << error.problem();
                  problems[rank] = error.problem();
                  calls[rank] = record;
                },
            .after_abort =
                [this](int rank) {
                  const std::scoped_lock lock(mutex);
                  EXPECT_FALSE(problems[rank].empty());
                  aborted[rank] = true;
                },
            .abort_deadline = abort_deadline};
  }
};

}  // namespace cloze
