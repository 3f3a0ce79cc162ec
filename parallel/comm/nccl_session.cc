#include "parallel/comm/nccl_session.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <future>
#include <iostream>
#include <map>
#include <thread>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/comm/nccl_communicator.h"
#include "parallel/comm/patient_lock.h"

namespace cloze {
namespace {

constexpr const char* kFixPeer =
    "see what the other ranks say; start again from the last checkpoint";
// Between two looks at something that this thread waits for, after the first ones.
constexpr std::chrono::microseconds kPause(50);
constexpr int kLooksWithoutPause = 1000;

at::Tensor bytes_tensor(const void* data, std::size_t bytes) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(bytes)}, at::kByte);
  std::memcpy(tensor.mutable_data_ptr(), data, bytes);
  return tensor;
}

// What a place of NCCL's holds, to which a thread of its may be writing.
NcclComm loaded(const NcclComm& place) { return __atomic_load_n(&place, __ATOMIC_ACQUIRE); }

// The same bytes of every rank, one row each.
at::Tensor gather_bytes(Communicator& host, const void* data, std::size_t bytes) {
  at::Tensor all = at::empty({host.size(), static_cast<std::int64_t>(bytes)}, at::kByte);
  host.all_gather(all, bytes_tensor(data, bytes)).wait();
  return all;
}

}  // namespace

NcclSession::Busy::Busy(const NcclSession& session) : session_(session) {
  ++session_.busy_depth_;
  session_.busy_since_ = NcclCall::Clock::now();
}

NcclSession::Busy::~Busy() {
  // It has returned, so what it is part of goes on.
  session_.busy_since_ =
      --session_.busy_depth_ > 0 ? NcclCall::Clock::now() : NcclCall::Clock::time_point();
}

NcclSession::NcclSession(const NcclDevice& device, Communicator& host, Options options)
    : device_(device), options_(std::move(options)), rank_(host.rank()), calls_(device.cuda) {
  agree_on_versions(host);
  if (!options_.share_gpus) refuse_shared_gpus(host);
  watcher_ = std::jthread([this](const std::stop_token& stop) {
    // A thread that does not choose would make itself at home on the first GPU.
    device_.cuda.set_device(device_.ordinal);
    std::unique_lock lock(watch_mutex_);
    while (
        !ended_.wait_for(lock, stop, options_.watch_every, [&] { return stop.stop_requested(); })) {
      watch();
    }
  });
  if (host.size() > 1) join_world(host);
}

NcclSession::~NcclSession() {
  if (world_ != nullptr) end(world_, nullptr);
  watcher_ = {};  // Not before: the last end can hang, too.
  abort_all();    // Those that were never given to anybody.
}

void NcclSession::join_world(Communicator& host) {
  NcclUniqueId id{};
  if (host.rank() == 0) {
    guarded([&] {
      call(nullptr, "asking for an identity", [&] { return device_.nccl.get_unique_id(&id); });
    });
    if (options_.check_environment) options_.check_environment();
  }
  const at::Tensor shared = bytes_tensor(&id, sizeof id);
  host.broadcast(shared, 0).wait();
  std::memcpy(&id, shared.const_data_ptr(), sizeof id);
  NcclConfig config = config_for("world");
  const std::string what = str("joining NCCL's world of ", host.size(), " ranks");
  guarded([&] {
    NcclComm* place = nullptr;
    call(nullptr, what, [&] {
      place = &comms_->emplace_back(nullptr);
      return device_.nccl.comm_init_rank(place, host.size(), id, host.rank(), &config);
    });
    world_ = loaded(*place);
    settle(world_, what);
  });
}

void NcclSession::agree_on_versions(Communicator& host) const {
  int version = 0;
  call(nullptr, "asking for the version", [&] { return device_.nccl.get_version(&version); });
  const at::Tensor all = gather_bytes(host, &version, sizeof version);
  for (int rank = 0; rank < host.size(); ++rank) {
    int other = 0;
    std::memcpy(&other, all[rank].const_data_ptr(), sizeof other);
    CLOZE_REQUIRE(other == version, ExitCode::kUsage,
                  str("rank ", host.rank(), " has NCCL ", nccl_version_text(version), ", rank ",
                      rank, " has ", nccl_version_text(other)),
                  "install the same NCCL on every host; ldconfig -p and LD_LIBRARY_PATH tell which "
                  "one a rank finds");
  }
}

void NcclSession::refuse_shared_gpus(Communicator& host) const {
  const at::Tensor all = gather_bytes(host, device_.uuid.data(), device_.uuid.size());
  std::map<std::string, int> rank_of_gpu;
  for (int rank = 0; rank < host.size(); ++rank) {
    CudaUuid uuid{};
    std::memcpy(uuid.data(), all[rank].const_data_ptr(), uuid.size());
    const auto [found, is_new] = rank_of_gpu.emplace(text_of(uuid), rank);
    CLOZE_REQUIRE(
        is_new, ExitCode::kUsage,
        str("ranks ", found->second, " and ", rank, " share one GPU, ", found->first),
        "start no more ranks on a host than it has GPUs, and let each see all of them; or "
        "say --share-gpus");
  }
}

std::unique_ptr<Communicator> NcclSession::communicator(const std::string& name,
                                                        const std::vector<int>& members,
                                                        bool urgent, Peers peers) {
  check_alive();
  const int rank = rank_among(members, rank_, name);
  const int size = static_cast<int>(members.size());
  std::unique_ptr<NcclCommunicator> group;
  guarded([&] {
    NcclComm comm = world_ == nullptr ? nullptr : split(name, rank, members);
    CudaStream stream = size > 1 ? make_stream(urgent) : nullptr;
    group = std::make_unique<NcclCommunicator>(name, rank, size, *this, comm, stream);
  });
  // NCCL connects ranks when they first talk, to send and for calls of all each in its own way: a
  // network that does not carry is found here, and NCCL's memory is taken before the tensors'.
  if (size > 1) {
    group->talk(peers);
    group->barrier();
  }
  return group;
}

NcclComm NcclSession::split(const std::string& name, int rank, const std::vector<int>& members) {
  const std::size_t size = members.size();
  // The groups of one split are disjoint, so the smallest world rank names a group.
  const int color = size > 1 ? *std::ranges::min_element(members) : kNcclNoColor;
  NcclConfig config = config_for(name);
  const std::string what = str("making the group ", name, " of ", size, " ranks");
  NcclComm* place = nullptr;
  call(world_, what, [&] {
    place = &comms_->emplace_back(nullptr);
    return device_.nccl.comm_split(world_, color, rank, place, &config);
  });
  settle(world_, what);  // Until then NCCL has not made it.
  if (size == 1) return nullptr;
  NcclComm comm = loaded(*place);
  CLOZE_CHECK(comm != nullptr, str(what, ": NCCL made none"), "report this");
  settle(comm, what);
  return comm;
}

NcclConfig NcclSession::config_for(const std::string& name) {
  NcclConfig config;
  // Groups whose transfers overlap must not share what one of them may abort.
  config.split_share = 0;
  config.comm_name = names_.emplace_back(name).c_str();
  return config;
}

CudaStream NcclSession::make_stream(bool urgent) const {
  int least = 0;
  int greatest = 0;
  device_.cuda.check(device_.cuda.device_stream_priority_range(&least, &greatest),
                     "asking for priorities");
  CudaStream stream = nullptr;
  device_.cuda.check(
      device_.cuda.stream_create(&stream, kCudaStreamNonBlocking, urgent ? greatest : least),
      "making a stream");
  return stream;
}

void NcclSession::check_alive() const {
  if (has_failed_.load(std::memory_order_acquire)) throw_failure();
}

void NcclSession::throw_failure() const {
  const std::scoped_lock lock(failure_mutex_);
  if (failure_) throw Error(*failure_);
}

void NcclSession::check(NcclResult result, NcclComm comm, const std::string& what) const {
  if (result == kNcclSuccess || result == kNcclInProgress) return;
  const char* words = comm == nullptr ? nullptr : device_.nccl.last_error(comm);
  const bool has_words = words != nullptr && *words != '\0';
  fail(ExitCode::kTransient,
       str(what, ": NCCL says '", device_.nccl.error_string(result), "'",
           has_words ? str(": ", words) : std::string()),
       kFixPeer);
}

void NcclSession::wait_until(const std::function<bool()>& ready, const std::string& what) const {
  const auto start = NcclCall::Clock::now();
  for (int look = 0; !ready(); ++look) {
    check_alive();
    if (NcclCall::Clock::now() - start > options_.deadline) {
      fail(ExitCode::kTransient,
           str(what, " is not done after ",
               std::chrono::duration<double>(options_.deadline).count(), " s"),
           kFixPeer);
    }
    if (look < kLooksWithoutPause) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
}

void NcclSession::settle(NcclComm comm, const std::string& what) const {
  wait_until(
      [&] {
        NcclResult state = kNcclSuccess;
        call(comm, what, [&] { return device_.nccl.comm_get_async_error(comm, &state); });
        call(comm, what, [&] { return state; });
        return state != kNcclInProgress;
      },
      what);
}

void NcclSession::watch() {
  if (has_failed_) return;
  std::string problem;
  try {
    problem = find_problem();
  } catch (const Error& error) {
    problem = error.problem();
  }
  if (problem.empty()) return;
  fail_all(Error(ExitCode::kTransient, str("rank ", rank_, ": ", problem), kFixPeer));
}

std::string NcclSession::find_problem() {
  // While the rank is in NCCL, the next look will ask.
  if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
    for (const NcclComm& place : *comms_) {
      NcclComm comm = loaded(place);
      if (comm == nullptr) continue;
      NcclResult state = kNcclSuccess;
      const NcclResult asked = device_.nccl.comm_get_async_error(comm, &state);
      for (const NcclResult result : {asked, state}) {
        if (result == kNcclSuccess || result == kNcclInProgress) continue;
        return str("NCCL says '", device_.nccl.error_string(result), "'");
      }
    }
  }
  if (const auto overdue = calls_.find_overdue(options_.deadline)) return *overdue;
  const NcclCall::Clock::time_point since = busy_since_;
  const auto busy = NcclCall::Clock::now() - since;
  if (since != NcclCall::Clock::time_point() && busy > options_.deadline) {
    return str("a call of NCCL or of the device has not returned for ",
               std::chrono::duration_cast<std::chrono::seconds>(busy).count(), " s");
  }
  return "";
}

void NcclSession::fail_all(const Error& error) {
  // Others are of the config or of the program: who catches them knows what to say.
  if (error.code() != ExitCode::kTransient) return;
  {
    const std::scoped_lock lock(failure_mutex_);
    if (failure_) return;
    failure_ = error;
    has_failed_.store(true, std::memory_order_release);
  }
  // Told first: what comes after may hang. Whatever happens to the telling, the job ends.
  try {
    if (options_.on_failure) options_.on_failure(error, calls_.json(rank_));
  } catch (const std::exception& untold) {
    std::cerr << "cloze: " << error.problem() << "; nor could it be told: " << untold.what()
              << '\n';
  }
  abort_all();
  if (options_.after_abort) options_.after_abort(error);
}

// All of them, the oldest first: the kernel of one that is left would hold the device. Each on a
// thread of its own, because one may wait for a kernel behind that of another, and on one that owns
// what it needs, because nobody waits for it longer than the deadline.
void NcclSession::abort_all() noexcept {
  try {
    const auto until = NcclCall::Clock::now() + options_.abort_deadline;
    std::vector<NcclComm> comms;
    {
      const auto lock = locked_until(mutex_, until);
      if (!lock) return;  // The rank's thread does not come back from NCCL.
      for (NcclComm& place : *comms_) {
        if (NcclComm comm = __atomic_exchange_n(&place, nullptr, __ATOMIC_ACQ_REL)) {
          comms.push_back(comm);
        }
      }
    }
    std::vector<std::future<void>> ends;
    for (NcclComm comm : comms) {
      std::promise<void> ended;
      ends.push_back(ended.get_future());
      std::thread([comm, ended = std::move(ended), places = comms_, nccl = device_.nccl,
                   cuda = device_.cuda, ordinal = device_.ordinal]() mutable {
        cuda.set_device(ordinal);
        nccl.comm_abort(comm);
        ended.set_value();
      }).detach();
    }
    for (const std::future<void>& end : ends) end.wait_until(until);
  } catch (const std::exception& error) {
    std::cerr << "cloze: communicators could not be ended: " << error.what() << '\n';
  }
}

void NcclSession::end(NcclComm comm, CudaStream stream) noexcept {
  const bool in_order = std::uncaught_exceptions() == 0 && !has_failed_;
  if (in_order) {
    try {
      guarded([&] { finalize(comm); });
    } catch (const std::exception&) {
      abort_all();  // Told by whoever found it.
    }
  } else {
    abort_all();  // The rank is about to end.
  }
  if (stream != nullptr) device_.cuda.stream_destroy(stream);
}

void NcclSession::finalize(NcclComm comm) {
  const std::string what = "ending a group";
  call(comm, what, [&] { return device_.nccl.comm_finalize(comm); });
  settle(comm, what);
  const Inside inside(*this);
  throw_failure();
  *std::ranges::find(*comms_, comm) = nullptr;
  check(device_.nccl.comm_destroy(comm), nullptr, what);
}

}  // namespace cloze
