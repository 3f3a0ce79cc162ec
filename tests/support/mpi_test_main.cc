#include "tests/support/mpi_test_main.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <iostream>
#include <memory>

#include "parallel/comm/mpi_progress.h"

namespace cloze {
namespace {

MpiSession*& session_slot() {
  static MpiSession* session = nullptr;
  return session;
}

// Shares the outcome of each test with all ranks and prints the failures of ranks > 0, whose
// usual printer is off.
class RankListener final : public testing::EmptyTestEventListener {
 public:
  explicit RankListener(const MpiSession& session) : session_(session) {}

  int num_failures() const { return num_failures_; }

 private:
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed() || session_.world_rank() == 0) return;
    const char* file = result.file_name() == nullptr ? "?" : result.file_name();
    std::cerr << "[rank " << session_.world_rank() << "] " << file << ":" << result.line_number()
              << ": " << result.message() << '\n';
  }

  void OnTestEnd(const testing::TestInfo& info) override {
    int failed = info.result()->Failed() ? 1 : 0;
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD),
              "MPI_Allreduce");
    if (failed == 0) return;
    ++num_failures_;
    if (session_.world_rank() == 0) {
      std::cerr << info.name() << " failed on " << failed << " of " << session_.world_size()
                << " ranks" << '\n';
    }
  }

  const MpiSession& session_;
  int num_failures_ = 0;
};

int run(int argc, char** argv) {
  MpiSession session(argc, argv);
  session_slot() = &session;
  testing::InitGoogleTest(&argc, argv);
  at::set_num_threads(1);
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  if (session.world_rank() != 0) delete listeners.Release(listeners.default_result_printer());
  auto owned = std::make_unique<RankListener>(session);
  const RankListener& listener = *owned;
  listeners.Append(owned.release());  // GoogleTest deletes it.
  const int result = RUN_ALL_TESTS();
  return result != 0 || listener.num_failures() > 0 ? 1 : 0;
}

}  // namespace

MpiSession& test_session() { return *session_slot(); }

}  // namespace cloze

int main(int argc, char** argv) { return cloze::run(argc, argv); }
