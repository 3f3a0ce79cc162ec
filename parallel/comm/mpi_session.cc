#include "parallel/comm/mpi_session.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "parallel/comm/launched_task.h"
#include "parallel/comm/mpi_communicator.h"
#include "parallel/comm/mpi_progress.h"
#include "parallel/comm/progress_thread.h"
#include "parallel/comm/thrown_error.h"

namespace cloze {
namespace {

// An exception that nobody catches must end all ranks: the others would wait for ever.
[[noreturn]] void abort_job() noexcept {
  auto code = ExitCode::kInternal;
  if (const std::exception_ptr current = std::current_exception()) {
    try {
      std::rethrow_exception(current);
    } catch (const std::exception& thrown) {
      // LibTorch gives memory back in functions that must not throw, and a GPU that has failed
      // throws there.
      const Error error = error_of(thrown);
      code = error.code();
      std::fprintf(stderr, "error: %s\n", error.what());
    } catch (...) {
      std::fputs("error: an exception of unknown type\n", stderr);
    }
  }
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0) MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::abort();
}

// Looks for a message that nobody sends; inside its calls MPI moves what is on its way. An error
// is left to the call that it belongs to.
void let_mpi_work() {
  int found = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &found, MPI_STATUS_IGNORE);
}

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv)
    : exceptions_at_start_(std::uncaught_exceptions()), progress_(std::make_unique<MpiProgress>()) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  CLOZE_CHECK(initialized == 0, "MPI was started before", "make one MpiSession, in main()");
  hide_unconnected_hosts();
  const bool ranks_read_each_other = choose_copies_between_ranks();
  int thread_level = 0;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &thread_level), "MPI_Init_thread");
  CLOZE_REQUIRE(thread_level >= MPI_THREAD_FUNNELED, ExitCode::kUsage,
                "this MPI library allows no threads beside the one that calls it",
                "install one built with thread support, such as Debian's openmpi-bin");
  for (MPI_Comm comm : {MPI_COMM_WORLD, MPI_COMM_SELF}) {
    check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  std::set_terminate(abort_job);
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size_), "MPI_Comm_size");
  MPI_Comm host = MPI_COMM_NULL;
  check_mpi(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank_, MPI_INFO_NULL, &host),
      "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(host, &local_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(host, &local_size_), "MPI_Comm_size");
  reported_ = std::make_unique<HostFlag>(host);
  check_mpi(MPI_Comm_free(&host), "MPI_Comm_free");
  const bool messages_need_both = local_size_ < world_size_ || !ranks_read_each_other;
  if (world_size_ > 1 && messages_need_both && thread_level == MPI_THREAD_MULTIPLE) {
    thread_ = std::make_unique<ProgressThread>([this] { return progress_->is_left_alone(); },
                                               &let_mpi_work);
  }
}

MpiSession::~MpiSession() {
  thread_.reset();
  if (std::uncaught_exceptions() > exceptions_at_start_) {
    std::fprintf(stderr, "rank %d ends with an error and takes the job with it\n", world_rank_);
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::kInternal));
  }
  reported_.reset();
  MPI_Finalize();
}

std::unique_ptr<Communicator> MpiSession::communicator(const std::string& name,
                                                       const std::vector<int>& members) {
  const int rank = rank_among(members, world_rank_, name);
  const int size = static_cast<int>(members.size());
  MPI_Comm comm = MPI_COMM_NULL;
  // The groups of one split are disjoint, so the smallest world rank names a group.
  check_mpi(MPI_Comm_split(MPI_COMM_WORLD, *std::ranges::min_element(members), rank, &comm),
            "MPI_Comm_split");
  int actual = 0;
  check_mpi(MPI_Comm_size(comm, &actual), "MPI_Comm_size");
  CLOZE_CHECK(actual == size,
              str("group ", name, " has ", actual, " ranks, rank ", world_rank_, " expects ", size),
              "all ranks of a group name the same members");
  if (size == 1) {
    check_mpi(MPI_Comm_free(&comm), "MPI_Comm_free");
  } else {
    check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  return std::make_unique<MpiCommunicator>(name, comm, rank, size, *progress_, deadline_);
}

void MpiSession::abort(ExitCode code) {
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::abort();  // MPI_Abort does not return; the compiler cannot know.
}

}  // namespace cloze
