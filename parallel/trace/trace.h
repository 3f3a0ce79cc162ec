// What one rank did and when: spans of its thread, and the calls of its groups from their issue
// until they are done. Kept in memory while chosen steps are traced; files are made of it later.
//
// Off, a span costs a branch. On, it costs two looks at the clock and 72 bytes that begin() has
// reserved; nothing is allocated. All calls come from the one thread that drives the rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cloze {

// A literal, which lives as long as the program: events keep the pointer.
class TraceName {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): span(trace, "forward") is what it is for.
  consteval TraceName(const char* literal) : text_(literal) {}
  const char* text() const { return text_; }

 private:
  const char* text_;
};

// What a span tells beside its name; what is negative is not told.
struct TraceDetails {
  int stage = -1;
  int microbatch = -1;
};

enum class TraceKind : std::uint8_t {
  kSpan,     // Work of the rank's thread.
  kWait,     // The thread is blocked until a call of a group is done.
  kCall,     // A collective in flight.
  kSend,     // A message in flight, from its issue until this rank knows that it is done.
  kReceive,  // A message that is awaited, from the post of the receive until it is there.
};

struct TraceEvent {
  static constexpr std::int64_t kOpen = -1;

  std::int64_t begin = 0;    // Nanoseconds of this rank's steady clock.
  std::int64_t end = kOpen;  // The same, or kOpen while it runs.
  std::int64_t step = 0;
  std::int64_t bytes = -1;
  // Since the recording began: of the group's calls, or of the messages from the one rank to the
  // other. Both sides count alike.
  std::int64_t number = -1;
  const char* name = "";
  int group = -1;  // Of Trace::groups().
  int peer = -1;   // Of a message: rank in the group.
  int stage = -1;
  int microbatch = -1;
  TraceKind kind = TraceKind::kSpan;
};

// A group whose calls are recorded.
struct TraceGroup {
  std::string name;
  int rank;                  // In the group.
  std::vector<int> members;  // World ranks, in the order of the group.
  // Since the recording began.
  std::int64_t num_calls = 0;
  std::vector<std::int64_t> num_sent;      // Messages to each member.
  std::vector<std::int64_t> num_received;  // And from each.
};

class Trace;

// Where an event lies, for as long as its recording lasts.
struct TracePlace {
  std::uint32_t recording = 0;  // 0: nowhere.
  std::uint32_t index = 0;
};

// A call of a group, with its events: one, or one a message. Made by default it records nothing.
struct CallTrace {
  Trace* trace = nullptr;
  TracePlace first;
  std::uint32_t count = 0;

  // The call is done; only the first time counts.
  void done() const;
};

class Trace {
 public:
  static constexpr std::size_t kMostEvents = 500'000;  // 36 MB, and some 100 MB of JSON.

  explicit Trace(std::size_t most_events = kMostEvents) : most_events_(most_events) {}
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // The group's number. Every rank adds its groups in the same order.
  int add_group(std::string name, int rank, std::vector<int> members);
  const std::vector<TraceGroup>& groups() const { return groups_; }

  // A recording: what happens between begin() and end() is recorded, up to the limit of events;
  // those above it are counted. Begins empty.
  void begin();
  void set_step(std::int64_t step);
  void end();  // What is still open ends here.
  bool is_on() const { return is_on_; }
  // Gives the memory of a recording back.
  void forget();

  // While it is on.
  TracePlace open(TraceName name, TraceDetails details);
  TracePlace open_wait(const CallTrace& call);
  CallTrace open_call(int group, TraceName name, std::int64_t bytes);
  // Adds a message to or from a member to `call`.
  void open_message(CallTrace& call, int group, TraceKind kind, int peer, std::int64_t bytes);
  // Ends it, unless it has ended or its recording is over.
  void close(TracePlace place);
  void close(const CallTrace& call);

  // Of the last recording, in the order of their begins.
  const std::vector<TraceEvent>& events() const { return events_; }
  const std::vector<std::int64_t>& steps() const { return steps_; }
  std::int64_t began() const { return began_; }  // Nanoseconds of the steady clock.
  std::int64_t ended() const { return ended_; }
  std::int64_t num_dropped() const { return num_dropped_; }
  std::int64_t first_dropped() const { return first_dropped_; }  // When; 0 when none was.

  // Nanoseconds of this process's steady clock.
  static std::int64_t now();

 private:
  TracePlace add(TraceEvent event);

  const std::size_t most_events_;
  bool is_on_ = false;
  std::uint32_t recording_ = 0;
  std::int64_t step_ = 0;
  std::int64_t began_ = 0;
  std::int64_t ended_ = 0;
  std::int64_t num_dropped_ = 0;
  std::int64_t first_dropped_ = 0;
  std::vector<TraceGroup> groups_;
  std::vector<TraceEvent> events_;
  std::vector<std::int64_t> steps_;
};

inline void CallTrace::done() const {
  if (trace != nullptr) trace->close(*this);
}

// Records from here to the end of the scope. Without a trace, or with one that is off, nothing.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, TraceName name, TraceDetails details = {}) {
    if (trace == nullptr || !trace->is_on()) return;
    trace_ = trace;
    place_ = trace->open(name, details);
  }
  // The thread waits for the call.
  explicit TraceSpan(const CallTrace& call) {
    if (call.trace == nullptr || !call.trace->is_on()) return;
    trace_ = call.trace;
    place_ = trace_->open_wait(call);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;
  ~TraceSpan() {
    if (trace_ != nullptr) trace_->close(place_);
  }

 private:
  Trace* trace_ = nullptr;
  TracePlace place_;
};

}  // namespace cloze
