#include "parallel/trace/trace.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {

std::int64_t Trace::now() {
  using std::chrono::nanoseconds;
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<nanoseconds>(time).count();
}

int Trace::add_group(std::string name, int rank, std::vector<int> members) {
  CLOZE_CHECK(!is_on_, str("group ", name, " is added while the trace is on"),
              "add groups before begin()");
  CLOZE_CHECK(rank >= 0 && rank < static_cast<int>(members.size()),
              str("rank ", rank, " of group ", name, " of ", members.size()),
              "give the members of the group, this rank among them");
  const std::size_t size = members.size();
  groups_.push_back({.name = std::move(name),
                     .rank = rank,
                     .members = std::move(members),
                     .num_sent = std::vector<std::int64_t>(size, 0),
                     .num_received = std::vector<std::int64_t>(size, 0)});
  return static_cast<int>(groups_.size()) - 1;
}

void Trace::begin() {
  CLOZE_CHECK(!is_on_, "a trace begins that has not ended", "call end() first");
  CLOZE_CHECK(recording_ < std::numeric_limits<std::uint32_t>::max(), "too many recordings",
              "trace less often");
  ++recording_;
  events_.clear();
  // All of it now, so that nothing is allocated later. The system hands out pages as they are
  // used: a short trace takes little.
  events_.reserve(most_events_);
  steps_.clear();
  num_dropped_ = 0;
  first_dropped_ = 0;
  for (TraceGroup& group : groups_) {
    group.num_calls = 0;
    std::ranges::fill(group.num_sent, 0);
    std::ranges::fill(group.num_received, 0);
  }
  is_on_ = true;
  began_ = now();
}

void Trace::set_step(std::int64_t step) {
  step_ = step;
  if (is_on_) steps_.push_back(step);
}

void Trace::end() {
  CLOZE_CHECK(is_on_, "a trace ends that has not begun", "call begin() first");
  ended_ = now();
  is_on_ = false;
  for (TraceEvent& event : events_) {
    if (event.end == TraceEvent::kOpen) event.end = ended_;
  }
}

void Trace::forget() {
  CLOZE_CHECK(!is_on_, "a trace is forgotten while it is on", "call end() first");
  events_ = std::vector<TraceEvent>();  // {} would keep the memory.
}

TracePlace Trace::add(TraceEvent event) {
  event.begin = now();
  event.step = step_;
  if (events_.size() == most_events_) {
    // The oldest stay: what encloses the later ones is among them.
    if (num_dropped_++ == 0) first_dropped_ = event.begin;
    return {};
  }
  events_.push_back(event);
  return {.recording = recording_, .index = static_cast<std::uint32_t>(events_.size() - 1)};
}

TracePlace Trace::open(TraceName name, TraceDetails details) {
  return add({.name = name.text(), .stage = details.stage, .microbatch = details.microbatch});
}

TracePlace Trace::open_wait(const CallTrace& call) {
  if (call.count == 0 || call.first.recording != recording_) return {};
  TraceEvent event = events_[call.first.index];
  for (std::uint32_t i = 1; i < call.count; ++i) {
    if (events_[call.first.index + i].kind != event.kind) event.name = "exchange";
  }
  event.kind = TraceKind::kWait;
  event.end = TraceEvent::kOpen;
  return add(event);
}

CallTrace Trace::open_call(int group, TraceName name, std::int64_t bytes) {
  TraceGroup& of = groups_[static_cast<std::size_t>(group)];
  const TracePlace place = add({.bytes = bytes,
                                .number = of.num_calls++,
                                .name = name.text(),
                                .group = group,
                                .kind = TraceKind::kCall});
  return {.trace = this, .first = place, .count = place.recording == 0 ? 0U : 1U};
}

void Trace::open_message(CallTrace& call, int group, TraceKind kind, int peer, std::int64_t bytes) {
  TraceGroup& of = groups_[static_cast<std::size_t>(group)];
  const bool sends = kind == TraceKind::kSend;
  std::int64_t& number = (sends ? of.num_sent : of.num_received)[static_cast<std::size_t>(peer)];
  const TracePlace place = add({.bytes = bytes,
                                .number = number++,
                                .name = sends ? "send" : "receive",
                                .group = group,
                                .peer = peer,
                                .kind = kind});
  call.trace = this;
  if (place.recording == 0) return;
  if (call.count == 0) call.first = place;
  ++call.count;  // The messages of a call follow each other: nothing is recorded between them.
}

void Trace::close(TracePlace place) { close(CallTrace{.trace = this, .first = place, .count = 1}); }

void Trace::close(const CallTrace& call) {
  if (call.count == 0 || call.first.recording == 0 || call.first.recording != recording_) return;
  if (events_.size() < call.first.index + call.count) return;  // Forgotten.
  const std::int64_t time = now();
  for (std::uint32_t i = 0; i < call.count; ++i) {
    TraceEvent& event = events_[call.first.index + i];
    if (event.end == TraceEvent::kOpen) event.end = time;
  }
}

}  // namespace cloze
