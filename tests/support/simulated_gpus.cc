#include <algorithm>
#include <cstring>
#include <string_view>

#include "parallel/base/check.h"
#include "tests/support/simulated_gpus_state.h"

namespace cloze {

using simulated::Comm;
using simulated::Event;
using simulated::Fault;
using simulated::Item;
using simulated::Kind;
using simulated::Meeting;
using simulated::Part;
using simulated::RankState;
using simulated::Ring;
using simulated::Stream;

namespace {

std::size_t digest_of(const Part& part) {
  return std::hash<std::string_view>()({static_cast<const char*>(part.from), part.bytes});
}

}  // namespace

thread_local SimulatedGpus::State* SimulatedGpus::State::current = nullptr;
thread_local int SimulatedGpus::State::rank = -1;
thread_local int SimulatedGpus::State::gpu = 0;

SimulatedGpus::State::State(int num_ranks, const Options& given)
    : options(given), chance(given.seed), ranks(num_ranks) {
  for (int each = 0; each < num_ranks; ++each) {
    ranks[each].compute = {.rank = each, .is_immediate = !options.late_compute, .is_compute = true};
    if (options.late_compute) streams.insert(&ranks[each].compute);
  }
}

SimulatedGpus::State::~State() {
  for (const Comm* comm : comms) delete comm;
  for (const Event* event : events) delete event;
  for (RankState& each : ranks) streams.erase(&each.compute);
  for (const Stream* stream : streams) delete stream;
}

void SimulatedGpus::State::tell(const std::string& what) {
  if (problem.empty()) problem = what;
  moved.notify_all();
}

NcclResult SimulatedGpus::State::fault(const std::string& function) {
  for (Fault& each : mine().faults) {
    if (each.function == function && --each.count == 0) return each.result;
  }
  return kNcclSuccess;
}

void SimulatedGpus::State::check_gpu(int of_gpu, const char* what) {
  if (gpu != of_gpu) tell(str(what, " of GPU ", of_gpu, " on a thread that chose GPU ", gpu));
}

void SimulatedGpus::State::pass(std::unique_lock<std::mutex>& lock, int of_rank,
                                const std::string& function) {
  moved.wait(lock, [&] { return !ranks[of_rank].blocked.contains(function); });
}

void SimulatedGpus::State::meet(std::pair<int, std::int64_t> place, std::size_t expected,
                                const Meeting::Guest& guest) {
  Meeting& meeting = meetings_[place];
  meeting.guests.push_back(guest);
  if (meeting.guests.size() < expected) return;
  std::ranges::sort(meeting.guests, {},
                    [](const Meeting::Guest& each) { return std::pair(each.color, each.key); });
  std::map<int, std::shared_ptr<Ring>> rings;
  for (const Meeting::Guest& each : meeting.guests) {
    if (each.comm == nullptr) continue;
    std::shared_ptr<Ring>& ring = rings[each.color];
    if (!ring) ring = std::make_shared<Ring>(Ring{.number = num_rings_++, .world_ranks = {}});
    each.comm->rank = static_cast<int>(ring->world_ranks.size());
    ring->world_ranks.push_back(each.world_rank);
    each.comm->ring = ring;
  }
  meetings_.erase(place);
  moved.notify_all();
}

// The transfers that have found their others are made.
void SimulatedGpus::State::match(Part& part) {
  if (part.kind == Kind::kSend || part.kind == Kind::kReceive) {
    match_message(part);
  } else {
    match_collective(part);
  }
}

void SimulatedGpus::State::match_message(Part& part) {
  const bool sends = part.kind == Kind::kSend;
  const int from = sends ? part.comm->rank : part.peer;
  const int to = sends ? part.peer : part.comm->rank;
  const auto key = std::make_tuple(part.comm->ring->number, from, to, part.number);
  const auto [other, is_first] = messages_.try_emplace(key, &part);
  if (is_first) return;
  Part& send = sends ? part : *other->second;
  Part& receive = sends ? *other->second : part;
  messages_.erase(other);
  if (send.bytes != receive.bytes) {
    tell(str(part.comm->name, ": rank ", from, " sends ", send.bytes, " bytes, rank ", to,
             " receives ", receive.bytes));
    return;
  }
  check_unchanged(send);
  std::memcpy(receive.to, send.from, send.bytes);
  send.is_done = receive.is_done = true;
}

void SimulatedGpus::State::match_collective(Part& part) {
  const auto key = std::make_tuple(part.comm->ring->number, part.number);
  std::vector<Part*>& arrived = collectives_[key];
  arrived.push_back(&part);
  if (arrived.size() < part.comm->ring->world_ranks.size()) return;
  for (const Part* each : arrived) {
    if (each->kind != part.kind || each->bytes != part.bytes || each->peer != part.peer) {
      tell(str(part.comm->name, ": ranks ", part.comm->rank, " and ", each->comm->rank,
               " make different calls, number ", part.number));
      return;
    }
    check_unchanged(*each);
  }
  for (const Part* source : arrived) {
    const bool gathers = part.kind == Kind::kAllGather;
    if (!gathers && source->comm->rank != part.peer) continue;
    const std::size_t offset = gathers ? source->comm->rank * source->bytes : 0;
    for (const Part* each : arrived) {
      std::memmove(static_cast<std::byte*>(each->to) + offset, source->from, source->bytes);
    }
  }
  for (Part* each : arrived) each->is_done = true;
  collectives_.erase(key);
}

void SimulatedGpus::State::check_unchanged(const Part& part) {
  if (digest_of(part) == part.digest) return;
  tell(str(part.comm->name, ": rank ", part.comm->rank, " changed ", part.bytes,
           " bytes while they were being sent"));
}

// Takes what an aborted communicator still had under way out of the search for others.
void SimulatedGpus::State::forget(const Item& item) {
  for (const Part& part : item.parts) {
    std::erase_if(messages_, [&](const auto& entry) { return entry.second == &part; });
    for (auto& [key, arrived] : collectives_) {
      std::erase_if(arrived, [&](const Part* each) { return each == &part; });
    }
  }
}

void SimulatedGpus::State::finish(const Item& item) {
  Comm& comm = *item.parts.front().comm;
  --comm.num_pending;
  std::erase(ranks[item.rank].tickets, item.ticket);
}

// Whether the head of the stream went a step on.
bool SimulatedGpus::State::step(Stream& stream) {
  if (stream.items.empty()) return false;
  Item& item = stream.items.front();
  RankState& owner = ranks[stream.rank];
  if (item.kernel) {
    item.kernel();
  } else if (item.record != nullptr) {
    item.record->completed = std::max(item.record->completed, item.version);
  } else if (item.wait != nullptr) {
    if (item.wait->completed < item.version) return false;
  } else if (std::ranges::any_of(item.parts,
                                 [](const Part& part) { return part.comm->is_aborted; })) {
    forget(item);
    finish(item);
  } else if (!item.is_active) {
    if (owner.hangs) return false;
    if (options.one_transfer_at_a_time && owner.tickets.front() != item.ticket) return false;
    item.is_active = true;
    for (Part& part : item.parts) {
      if (part.from != nullptr) part.digest = digest_of(part);
    }
    for (Part& part : item.parts) match(part);
    return true;
  } else {
    if (!std::ranges::all_of(item.parts, &Part::is_done)) return false;
    finish(item);
  }
  stream.items.pop_front();
  return true;
}

bool SimulatedGpus::State::step_any() {
  std::vector<Stream*> order(streams.begin(), streams.end());
  std::ranges::shuffle(order, chance);
  for (Stream* stream : order) {
    if (!step(*stream)) continue;
    moved.notify_all();
    return true;
  }
  return false;
}

// Now and then something happens that nobody waits for.
void SimulatedGpus::State::maybe_step() {
  while (chance() % 3 == 0 && step_any()) {
  }
}

void SimulatedGpus::State::wait_for(std::unique_lock<std::mutex>& lock, const Event& event,
                                    std::int64_t version) {
  const auto give_up = std::chrono::steady_clock::now() + options.deadline;
  while (event.completed < version) {
    if (!problem.empty())
      cloze::fail(ExitCode::kTransient, problem, "compare the calls of the ranks");
    if (step_any()) continue;
    RankState& self = mine();
    self.awaited = &event;
    self.awaited_version = version;
    if (nobody_moves()) {
      std::string last_calls;
      for (std::size_t each = 0; each < ranks.size(); ++each) {
        const auto& calls = ranks[each].calls;
        last_calls += str("\n  rank ", each, ": ", calls.empty() ? "no call" : calls.back());
      }
      tell(str("no rank can go on; their last calls:", last_calls));
    } else if (moved.wait_until(lock, give_up) == std::cv_status::timeout) {
      tell("a rank has waited too long");
    }
    self.awaited = nullptr;
  }
}

// Not when a rank is made to hang: that is what others are to find out.
bool SimulatedGpus::State::nobody_moves() const {
  return std::ranges::all_of(ranks, [](const RankState& each) {
    const bool is_blocked =
        each.awaited != nullptr && each.awaited->completed < each.awaited_version;
    return !each.hangs && (!each.is_in || is_blocked);
  });
}

NcclResult SimulatedGpus::State::queue(const char* function, Part part, Stream* stream) {
  std::unique_lock lock(mutex);
  pass(lock, rank, function);
  RankState& self = mine();
  if (part.comm->is_aborted) tell(str(part.comm->name, ": a call after the end"));
  if (const NcclResult result = fault(function); result != kNcclSuccess) return result;
  constexpr NcclResult kInvalidUsage = 5;
  // A call on a communicator whose last one is in progress is what NCCL forbids.
  if (part.comm->is_aborted || part.comm->is_settling || !part.comm->ring) return kInvalidUsage;
  const bool has_peer = part.kind != Kind::kAllGather;
  self.calls.push_back(str(part.comm->name, " ", function, " ", part.bytes,
                           has_peer ? str(" ", part.peer) : std::string()));
  self.grouped.emplace_back(part, stream);
  if (self.group_depth == 0) flush(self);
  return kNcclInProgress;
}

void SimulatedGpus::State::flush(RankState& self) {
  std::map<std::pair<Comm*, Stream*>, Item> items;
  for (auto& [part, stream] : self.grouped) {
    Comm& comm = *part.comm;
    if (comm.is_aborted) tell(str(comm.name, ": ended while a group of calls was open"));
    if (part.kind == Kind::kSend) {
      part.number = comm.num_sent[part.peer]++;
    } else if (part.kind == Kind::kReceive) {
      part.number = comm.num_received[part.peer]++;
    } else {
      part.number = comm.num_collectives++;
    }
    comm.is_settling = true;
    items[{&comm, stream}].parts.push_back(part);
  }
  self.grouped.clear();
  for (auto& [key, item] : items) {
    if (const NcclResult result = fault("kernel"); result != kNcclSuccess) {
      key.first->async_error = result;
    }
    item.rank = rank;
    ++key.first->num_pending;
    item.ticket = self.num_transfers++;
    self.tickets.push_back(item.ticket);
    key.second->items.push_back(std::move(item));
  }
  maybe_step();
  moved.notify_all();
}

void SimulatedGpus::State::put(Stream& stream, Item item) {
  stream.items.push_back(std::move(item));
  maybe_step();
  moved.notify_all();
}

void SimulatedGpus::State::abort(Comm& comm) {
  comm.is_aborted = true;
  if (comms.erase(&comm) > 0) aborted.emplace_back(&comm);
  moved.notify_all();
}

}  // namespace cloze
