// The table of functions as NCCL would fill it, and what tests see of the GPUs.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "parallel/base/check.h"
#include "parallel/comm/ordered_reduce.h"
#include "tests/support/simulated_gpus_state.h"

namespace cloze {
namespace {

using simulated::Comm;
using simulated::comm_of;
using simulated::Event;
using simulated::Kind;
using simulated::Part;
using simulated::stream_of;
using State = SimulatedGpus::State;

NcclResult start_group() {
  const std::scoped_lock lock(State::current->mutex);
  ++State::mine().group_depth;
  return kNcclSuccess;
}

NcclResult end_group() {
  const std::scoped_lock lock(State::current->mutex);
  if (const NcclResult result = State::current->fault("group_end"); result != kNcclSuccess) {
    --State::mine().group_depth;
    State::mine().grouped.clear();
    return result;
  }
  if (--State::mine().group_depth == 0) State::current->flush(State::mine());
  return kNcclInProgress;
}

// Makes a communicator that comes to life when all `expected` ranks have asked for it; null without
// a color.
Comm* join(NcclComm* comm, std::pair<int, std::int64_t> place, std::size_t expected, int color,
           int key, const NcclConfig& config) {
  Comm* made = nullptr;
  if (color != kNcclNoColor) {
    made = new Comm{.state = State::current, .world_rank = State::rank};
    made->name = config.comm_name;
    State::current->comms.insert(made);
    made->place = comm;
  }
  State::current->meet(place, expected, {made, State::rank, color, key});
  return made;
}

NcclLibrary make_nccl() {
  NcclLibrary nccl{};
  nccl.get_version = [](int* version) {
    *version = State::current->options.version_of(State::rank);
    return kNcclSuccess;
  };
  nccl.get_unique_id = [](NcclUniqueId* id) {
    std::strcpy(id->internal, "an identity");
    return kNcclSuccess;
  };
  nccl.comm_init_rank = [](NcclComm* comm, int num_ranks, NcclUniqueId id, int rank,
                           NcclConfig* config) {
    const std::scoped_lock lock(State::current->mutex);
    if (const NcclResult result = State::current->fault("comm_init_rank"); result != kNcclSuccess) {
      return result;
    }
    const bool is_known = std::strcmp(id.internal, "an identity") == 0 && config->blocking == 0;
    if (!is_known) return NcclResult{4};
    *comm = reinterpret_cast<NcclComm>(join(comm, {-1, 0}, num_ranks, 0, rank, *config));
    return kNcclInProgress;
  };
  nccl.comm_split = [](NcclComm parent, int color, int key, NcclComm* comm, NcclConfig* config) {
    const std::scoped_lock lock(State::current->mutex);
    if (const NcclResult result = State::current->fault("comm_split"); result != kNcclSuccess) {
      return result;
    }
    if (config->blocking != 0 || config->split_share != 0) return NcclResult{4};
    Comm& of = *comm_of(parent);
    of.making = join(comm, {of.ring->number, of.num_splits++}, of.ring->world_ranks.size(), color,
                     key, *config);
    of.is_settling = true;
    return kNcclInProgress;
  };
  nccl.comm_finalize = [](NcclComm comm) {
    State& state = *comm_of(comm)->state;
    const std::scoped_lock lock(state.mutex);
    if (const NcclResult result = state.fault("comm_finalize"); result != kNcclSuccess) {
      return result;
    }
    comm_of(comm)->is_finalizing = true;
    return kNcclInProgress;
  };
  nccl.comm_destroy = [](NcclComm comm) {
    const std::scoped_lock lock(comm_of(comm)->state->mutex);
    comm_of(comm)->state->comms.erase(comm_of(comm));
    delete comm_of(comm);
    return kNcclSuccess;
  };
  nccl.comm_abort = [](NcclComm comm) {
    State& state = *comm_of(comm)->state;
    std::unique_lock lock(state.mutex);
    state.pass(lock, comm_of(comm)->world_rank, "comm_abort");
    state.check_gpu(state.gpu_of(comm_of(comm)->world_rank), "the end of a communicator");
    state.abort(*comm_of(comm));
    return kNcclSuccess;
  };
  nccl.comm_get_async_error = [](NcclComm comm, NcclResult* error) {
    Comm& asked = *comm_of(comm);
    const std::scoped_lock lock(asked.state->mutex);
    *error = asked.async_error;
    // The end waits for all that is under way.
    const bool is_ending = asked.is_finalizing && asked.num_pending > 0;
    if (is_ending) asked.state->step_any();
    const bool is_making = asked.making != nullptr && !asked.making->ring;
    const bool is_busy = asked.is_settling || !asked.ring || is_ending || is_making;
    if (asked.async_error == kNcclSuccess && is_busy) *error = kNcclInProgress;
    asked.is_settling = false;
    // What the last call was to make is there when the call is done.
    if (asked.making != nullptr && *error == kNcclSuccess) {
      *asked.making->place = reinterpret_cast<NcclComm>(asked.making);
      asked.making = nullptr;
    }
    return kNcclSuccess;
  };
  nccl.group_start = &start_group;
  nccl.group_end = &end_group;
  nccl.all_gather = [](const void* from, void* to, std::size_t count, int /*type*/, NcclComm comm,
                       CudaStream stream) {
    const Part part{
        .kind = Kind::kAllGather, .comm = comm_of(comm), .from = from, .to = to, .bytes = count};
    return State::current->queue("all_gather", part, stream_of(stream));
  };
  nccl.broadcast = [](const void* from, void* to, std::size_t count, int /*type*/, int root,
                      NcclComm comm, CudaStream stream) {
    const Part part{.kind = Kind::kBroadcast,
                    .comm = comm_of(comm),
                    .from = from,
                    .to = to,
                    .bytes = count,
                    .peer = root};
    return State::current->queue("broadcast", part, stream_of(stream));
  };
  nccl.send = [](const void* from, std::size_t count, int /*type*/, int peer, NcclComm comm,
                 CudaStream stream) {
    const Part part{
        .kind = Kind::kSend, .comm = comm_of(comm), .from = from, .bytes = count, .peer = peer};
    return State::current->queue("send", part, stream_of(stream));
  };
  nccl.recv = [](void* to, std::size_t count, int /*type*/, int peer, NcclComm comm,
                 CudaStream stream) {
    const Part part{
        .kind = Kind::kReceive, .comm = comm_of(comm), .to = to, .bytes = count, .peer = peer};
    return State::current->queue("recv", part, stream_of(stream));
  };
  nccl.error_string = [](NcclResult result) {
    return result == kNcclRemoteError ? "remote process exited" : "a simulated error";
  };
  nccl.last_error = [](NcclComm) { return ""; };
  return nccl;
}

const NcclLibrary kNccl = make_nccl();

void reduce_on(CudaStream stream, void* output, std::span<const void* const> parts,
               std::int64_t count, at::ScalarType dtype, ReduceOp op) {
  SimulatedGpus::launch(stream, [=, parts = std::vector(parts.begin(), parts.end())] {
    ordered_reduce(output, parts, count, dtype, op);
  });
}

}  // namespace

SimulatedGpus::SimulatedGpus(int num_ranks, const Options& options)
    : state_(std::make_unique<State>(num_ranks, options)) {}

SimulatedGpus::~SimulatedGpus() = default;

SimulatedGpus::Rank::Rank(SimulatedGpus& gpus, int rank) : gpus_(gpus), rank_(rank) {
  State::current = gpus.state_.get();
  State::rank = rank;
  State::gpu = State::current->gpu_of(rank);
  const std::scoped_lock lock(gpus.state_->mutex);
  gpus.state_->ranks[rank].is_in = true;
}

SimulatedGpus::Rank::~Rank() {
  const std::scoped_lock lock(gpus_.state_->mutex);
  gpus_.state_->ranks[rank_].is_in = false;
  gpus_.state_->moved.notify_all();
}

void SimulatedGpus::Rank::compute(std::function<void()> kernel) {
  launch(device().compute_stream(), std::move(kernel));
}

void SimulatedGpus::Rank::finish() {
  Event done{.state = gpus_.state_.get(), .gpu = gpus_.state_->gpu_of(rank_)};
  const auto event = reinterpret_cast<CudaEvent>(&done);
  simulated::cuda_functions().event_record(event, device().compute_stream());
  std::unique_lock lock(gpus_.state_->mutex);
  gpus_.state_->wait_for(lock, done, done.recorded);
}

NcclDevice SimulatedGpus::Rank::device() const {
  State& state = *gpus_.state_;
  const int gpu = state.gpu_of(rank_);
  return {.cuda = simulated::cuda_functions(),
          .nccl = kNccl,
          .ordinal = gpu,
          .tensors = state.options.tensors,
          .uuid = {static_cast<char>(gpu)},
          .compute_stream =
              [&state, rank = rank_] {
                return reinterpret_cast<CudaStream>(&state.ranks[rank].compute);
              },
          .reduce = [](void* output, std::span<const void* const> parts, std::int64_t count,
                       at::ScalarType dtype, ReduceOp op,
                       CudaStream stream) { reduce_on(stream, output, parts, count, dtype, op); },
          .make_bytes =
              [&state, rank = rank_](std::int64_t bytes) {
                at::Tensor made =
                    at::empty({bytes}, at::TensorOptions(state.options.tensors).dtype(at::kByte));
                // Where kernels happen late, so does what would be the end of their memory.
                if (state.options.late_compute) state.ranks[rank].memory.push_back(made);
                return made;
              }};
}

void SimulatedGpus::fail(int rank, const std::string& function, int count, NcclResult result) {
  const std::scoped_lock lock(state_->mutex);
  state_->ranks[rank].faults.push_back({function, count, result});
}

void SimulatedGpus::hang(int rank) {
  const std::scoped_lock lock(state_->mutex);
  state_->ranks[rank].hangs = true;
}

void SimulatedGpus::block(int rank, const std::string& function) {
  const std::scoped_lock lock(state_->mutex);
  state_->ranks[rank].blocked.insert(function);
}

void SimulatedGpus::unblock() {
  const std::scoped_lock lock(state_->mutex);
  for (simulated::RankState& rank : state_->ranks) rank.blocked.clear();
  state_->moved.notify_all();
}

std::vector<std::string> SimulatedGpus::calls(int rank) const {
  const std::scoped_lock lock(state_->mutex);
  return state_->ranks[rank].calls;
}

int SimulatedGpus::num_alive() const {
  const std::scoped_lock lock(state_->mutex);
  const auto is_made = [](const simulated::Stream* stream) { return !stream->is_compute; };
  return static_cast<int>(state_->comms.size() + state_->events.size()) +
         static_cast<int>(std::ranges::count_if(state_->streams, is_made));
}

int SimulatedGpus::num_aborted() const {
  const std::scoped_lock lock(state_->mutex);
  return static_cast<int>(state_->aborted.size());
}

int SimulatedGpus::num_groups_open() const {
  const std::scoped_lock lock(state_->mutex);
  int count = 0;
  for (const simulated::RankState& rank : state_->ranks) count += rank.group_depth;
  return count;
}

std::string SimulatedGpus::problem() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->problem;
}

void SimulatedGpus::launch(CudaStream stream, std::function<void()> kernel) {
  if (stream_of(stream)->is_immediate) {
    kernel();
    return;
  }
  const std::scoped_lock lock(State::current->mutex);
  State::current->put(*stream_of(stream), {.kernel = std::move(kernel)});
}

}  // namespace cloze
