#include "parallel/comm/mpi_progress.h"

#include <ATen/ops/empty.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"

namespace cloze {
namespace {

// More free buffers than calls are ever in flight would be a leak in slow motion.
constexpr std::size_t kMaxFreeStaging = 16;

// Polls between two looks at the clock, and before the first yield of the core.
constexpr int kSpins = 16;

// While it lives, the rank itself drives its calls.
class Waiting {
 public:
  explicit Waiting(MpiProgress& progress) : progress_(progress) { progress_.set_waiting(true); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { progress_.set_waiting(false); }

 private:
  MpiProgress& progress_;
};

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  text.resize(length);
  fail(ExitCode::kTransient, str(call, ": ", text),
       "another rank or the network is gone: look for the first error in the log, then restart");
}

at::Tensor MpiProgress::take_staging(std::int64_t bytes) {
  auto best = free_staging_.end();
  for (auto it = free_staging_.begin(); it != free_staging_.end(); ++it) {
    if (it->numel() < bytes) continue;
    if (best == free_staging_.end() || it->numel() < best->numel()) best = it;
  }
  if (best == free_staging_.end()) {
    return at::empty({std::max<std::int64_t>(bytes, 4096)}, at::TensorOptions(at::kByte));
  }
  at::Tensor staging = std::move(*best);
  free_staging_.erase(best);
  return staging;
}

void MpiProgress::give_staging(at::Tensor staging) {
  free_staging_.push_back(std::move(staging));
  if (free_staging_.size() <= kMaxFreeStaging) return;
  const auto by_size = [](const at::Tensor& a, const at::Tensor& b) {
    return a.numel() < b.numel();
  };
  free_staging_.erase(std::ranges::min_element(free_staging_, by_size));
}

void MpiProgress::poll() {
  for (MpiOperation* operation : operations_) operation->advance();
}

MpiOperation::MpiOperation(MpiProgress& progress, const Place& place)
    : progress_(progress), place_(place) {
  progress_.begin();
}

MpiOperation::~MpiOperation() {
  set_done();
  if (driven_) progress_.remove(this);
  if (staging_.defined()) progress_.give_staging(std::move(staging_));
}

void MpiOperation::send(const void* data, std::int64_t bytes, int peer) {
  const auto* first = static_cast<const std::byte*>(data);
  for (std::int64_t at = 0; at < bytes; at += place_.max_message_bytes) {
    const auto count = static_cast<int>(std::min(place_.max_message_bytes, bytes - at));
    check_mpi(MPI_Isend(first + at, count, MPI_BYTE, peer, place_.tag, place_.comm,
                        &requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Isend");
  }
}

void MpiOperation::receive(void* data, std::int64_t bytes, int peer) {
  auto* first = static_cast<std::byte*>(data);
  for (std::int64_t at = 0; at < bytes; at += place_.max_message_bytes) {
    const auto count = static_cast<int>(std::min(place_.max_message_bytes, bytes - at));
    check_mpi(MPI_Irecv(first + at, count, MPI_BYTE, peer, place_.tag, place_.comm,
                        &requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Irecv");
  }
}

void MpiOperation::broadcast(void* data, std::int64_t bytes, int root) {
  auto* first = static_cast<std::byte*>(data);
  for (std::int64_t at = 0; at < bytes; at += place_.max_message_bytes) {
    const auto count = static_cast<int>(std::min(place_.max_message_bytes, bytes - at));
    check_mpi(MPI_Ibcast(first + at, count, MPI_BYTE, root, place_.comm,
                         &requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Ibcast");
  }
}

void MpiOperation::barrier() {
  check_mpi(MPI_Ibarrier(place_.comm, &requests_.emplace_back(MPI_REQUEST_NULL)), "MPI_Ibarrier");
}

std::byte* MpiOperation::staging(std::int64_t bytes) {
  staging_ = progress_.take_staging(bytes);
  return static_cast<std::byte*>(staging_.mutable_data_ptr());
}

void MpiOperation::drive_from_anywhere() {
  driven_ = true;
  progress_.add(this);
}

std::string MpiOperation::describe() const {
  return str(place_.group, ".", place_.call, ", call ", place_.number, ", on rank ", place_.rank,
             " of ", place_.size);
}

void MpiOperation::set_done() {
  if (!std::exchange(done_, true)) progress_.end();
}

bool MpiOperation::advance() {
  while (true) {
    if (!requests_.empty()) {
      int done = 0;
      const int code = MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                                   MPI_STATUSES_IGNORE);
      if (code != MPI_SUCCESS) check_mpi(code, describe().c_str());
      if (done == 0) return false;
      requests_.clear();
    }
    if (next_round_ == rounds_.size()) {
      set_done();
      return true;
    }
    rounds_[next_round_++]();
  }
}

bool MpiOperation::test() {
  const bool done = advance();
  progress_.poll();
  return done;
}

void MpiOperation::wait() {
  const auto give_up_at = Clock::now() + place_.deadline;
  const Waiting waiting(progress_);
  for (int spin = 1; !test(); ++spin) {
    if (spin % kSpins != 0) continue;
    CLOZE_REQUIRE(
        Clock::now() < give_up_at, ExitCode::kTransient,
        str(describe(), " has waited ", place_.deadline.count(), " s for the other ranks"),
        "look for a rank that ended or hangs; raise run.deadline_seconds if a step may "
        "take that long");
    sched_yield();  // Ranks may outnumber cores.
  }
}

}  // namespace cloze
