#include "trainer/cli/job.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/mpi_version.h"
#include "parallel/comm/groups.h"
#include "parallel/comm/launched_task.h"
#include "parallel/comm/mpi_library.h"
#include "parallel/comm/thrown_error.h"
#include "parallel/pass/caching_allocator.h"
#include "trainer/cli/report_error.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

// Ends the job after an error that the ranks did not agree on: the others may wait for this one.
// The first rank that fails reports; what follows from it on other ranks is not told.
int end_job(MpiSession& session, const Error& error, const JobPlace& place) {
  if (session.claim_report()) {
    report_error(error, session.world_rank(), place.phase, place.step);
  } else {
    std::this_thread::sleep_for(std::chrono::seconds(2));  // It ends this rank with its own code.
  }
  if (session.world_size() > 1) session.abort(error.code());
  return static_cast<int>(error.code());
}

// Of ranks that do not see each other each is the first: the launcher's first one speaks.
bool is_alone_among_many(const MpiSession& session, const std::optional<LaunchedTask>& task) {
  try {
    check_not_alone(session.world_size(), task, mpi_library_name(mpi_library_version()));
    return false;
  } catch (const Error& error) {
    if (task->rank == 0) report_error(error, task->rank, "start");
    return true;
  }
}

}  // namespace

int threads_of(const std::string& wanted, int ranks_of_node) {
  const int asked = threads_of_environment();  // Malformed it is an error, whoever wins.
  if (wanted != "auto") return std::stoi(wanted);
  if (asked > 0) return asked;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const int available = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::max(1, available / ranks_of_node);
}

void require_standard_output() {
  CLOZE_REQUIRE(std::fflush(stdout) == 0 && std::ferror(stdout) == 0, ExitCode::kIo,
                "cannot write to the standard output",
                "check that the reader of the pipe or the disk takes all");
}

std::unique_ptr<Communicator> tensor_group(MpiSession& session, int wanted) {
  const int size = wanted == 0 ? session.world_size() : wanted;
  CLOZE_REQUIRE(size >= 1 && size <= session.world_size(), ExitCode::kUsage,
                str("--tensor ", wanted, " of a job of ", session.world_size(), " ranks"),
                str("launch it with mpirun -n ", std::max(1, size)));
  // The ranks beyond are one group of their own, so that every rank is in one.
  const bool is_member = session.world_rank() < size;
  std::vector<int> members(
      static_cast<std::size_t>(is_member ? size : session.world_size() - size));
  std::iota(members.begin(), members.end(), is_member ? 0 : size);
  auto group = session.communicator("tensor", members);
  return is_member ? std::move(group) : nullptr;
}

int run_job(JobPlace& place, const std::function<int(MpiSession&, Communicator&)>& body) {
  const std::optional<LaunchedTask> task = launched_task();
  int argc = 0;
  char** argv = nullptr;
  MpiSession session(argc, argv);
  if (is_alone_among_many(session, task)) return static_cast<int>(ExitCode::kUsage);
  const at::NoGradGuard no_tape;
  const CachingAllocator allocator;  // Before the first tensor.
  std::vector<int> everyone(static_cast<std::size_t>(session.world_size()));
  std::iota(everyone.begin(), everyone.end(), 0);
  const std::unique_ptr<Communicator> world = session.communicator("start", everyone);
  try {
    return body(session, *world);
  } catch (const AgreedError& error) {
    // Every rank is here; one of them speaks.
    if (world->rank() == 0) report_error(error, error.rank(), place.phase, place.step);
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    return end_job(session, error_of(error), place);
  }
}

}  // namespace cloze
