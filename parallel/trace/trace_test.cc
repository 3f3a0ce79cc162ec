#include "parallel/trace/trace.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <optional>

#include "parallel/base/check.h"

namespace {

// Allocations of this program's one thread so far.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): what counts is global, too.
std::size_t num_allocations = 0;

}  // namespace

// Not inlined: the compiler would see malloc's memory freed by what is not its operator.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++num_allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace cloze {
namespace {

TEST(Trace, SpansNestAndHaveTheirDetails) {
  Trace trace;
  trace.begin();
  trace.set_step(7);
  {
    const TraceSpan outer(&trace, "forward", {.stage = 1, .microbatch = 2});
    const TraceSpan inner(&trace, "weight gradient");
  }
  trace.end();
  ASSERT_EQ(trace.events().size(), 2U);
  const TraceEvent& outer = trace.events()[0];
  const TraceEvent& inner = trace.events()[1];
  EXPECT_STREQ(outer.name, "forward");
  EXPECT_EQ(outer.stage, 1);
  EXPECT_EQ(outer.microbatch, 2);
  EXPECT_EQ(outer.step, 7);
  EXPECT_EQ(inner.stage, -1);
  EXPECT_LE(trace.began(), outer.begin);
  EXPECT_LE(outer.begin, inner.begin);
  EXPECT_LE(inner.begin, inner.end);
  EXPECT_LE(inner.end, outer.end);
  EXPECT_LE(outer.end, trace.ended());
  EXPECT_EQ(trace.steps(), std::vector<std::int64_t>{7});
}

TEST(Trace, OffOrAbsentRecordsNothing) {
  Trace trace;
  { const TraceSpan span(&trace, "before"); }
  trace.begin();
  trace.end();
  { const TraceSpan span(&trace, "after"); }
  { const TraceSpan span(nullptr, "nowhere"); }
  CallTrace().done();
  { const TraceSpan span{CallTrace()}; }
  EXPECT_TRUE(trace.events().empty());
}

TEST(Trace, NeitherOffNorOnAllocates) {
  Trace off;
  Trace on(100'000);
  const int group = on.add_group("tensor", 0, {0, 1});
  on.begin();
  const std::size_t before = num_allocations;
  for (Trace* trace : {static_cast<Trace*>(nullptr), &off, &on}) {
    for (int i = 0; i < 1000; ++i) {
      const TraceSpan span(trace, "forward", {.microbatch = i});
      const TraceSpan inner(trace, "weight gradient");
    }
  }
  for (int i = 0; i < 1000; ++i) {
    CallTrace call = on.open_call(group, "all_reduce", 8);
    const TraceSpan wait(call);
    on.open_message(call, group, TraceKind::kSend, 1, 8);
    call.done();
  }
  EXPECT_EQ(num_allocations, before);
  on.end();
  EXPECT_EQ(on.events().size(), 5000U);
  EXPECT_EQ(on.num_dropped(), 0);
}

TEST(Trace, CallsOfAGroupAndMessagesOfAPairAreNumbered) {
  Trace trace;
  const int tensor = trace.add_group("tensor", 0, {4, 5});
  const int pipeline = trace.add_group("pipeline", 1, {1, 5, 9});
  for (int recording = 0; recording < 2; ++recording) {
    trace.begin();
    for (int i = 0; i < 2; ++i) {
      trace.open_call(tensor, "all_gather", 100).done();
      CallTrace exchange;
      trace.open_message(exchange, pipeline, TraceKind::kSend, 2, 30);
      trace.open_message(exchange, pipeline, TraceKind::kReceive, 0, 40);
      exchange.done();
      EXPECT_EQ(exchange.count, 2U);
    }
    trace.end();
    ASSERT_EQ(trace.events().size(), 6U);
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(trace.events()[i].number, i / 3) << "numbers begin anew in each recording";
      EXPECT_NE(trace.events()[i].end, TraceEvent::kOpen);
    }
    const TraceEvent& send = trace.events()[1];
    EXPECT_EQ(send.peer, 2);
    EXPECT_EQ(send.bytes, 30);
    EXPECT_EQ(send.kind, TraceKind::kSend);
    EXPECT_EQ(trace.events()[2].kind, TraceKind::kReceive);
    EXPECT_EQ(trace.events()[2].end, send.end) << "the messages of a call end together";
  }
}

TEST(Trace, AWaitTellsOfItsCall) {
  Trace trace;
  const int group = trace.add_group("data", 0, {0, 1});
  trace.begin();
  const CallTrace call = trace.open_call(group, "all_to_all", 64);
  { const TraceSpan wait(call); }
  call.done();
  const std::int64_t end = trace.events()[0].end;
  call.done();
  trace.end();
  ASSERT_EQ(trace.events().size(), 2U);
  EXPECT_EQ(trace.events()[0].end, end) << "only the first end counts";
  const TraceEvent& wait = trace.events()[1];
  EXPECT_EQ(wait.kind, TraceKind::kWait);
  EXPECT_STREQ(wait.name, "all_to_all");
  EXPECT_EQ(wait.group, group);
  EXPECT_EQ(wait.bytes, 64);
}

TEST(Trace, WhatIsOpenAtTheEndOfARecordingEndsThere) {
  Trace trace;
  const int group = trace.add_group("data", 0, {0, 1});
  trace.begin();
  std::optional<TraceSpan> span;
  span.emplace(&trace, TraceName("step"));
  const CallTrace call = trace.open_call(group, "broadcast", 1);
  trace.end();
  EXPECT_EQ(trace.events()[0].end, trace.ended());
  EXPECT_EQ(trace.events()[1].end, trace.ended());
  // Late ends touch neither this recording nor the next.
  trace.begin();
  const TraceSpan other(&trace, "step");
  span.reset();
  call.done();
  { const TraceSpan wait(call); }
  EXPECT_EQ(trace.events().size(), 1U);
  EXPECT_EQ(trace.events()[0].end, TraceEvent::kOpen);
  trace.end();
  trace.forget();
  EXPECT_TRUE(trace.events().empty());
  EXPECT_EQ(trace.events().capacity(), 0U);
}

TEST(Trace, AboveTheLimitEventsAreCountedAndWhatEnclosesThemIsKept) {
  Trace trace(/*most_events=*/4);
  const int group = trace.add_group("data", 0, {0, 1});
  trace.begin();
  {
    const TraceSpan step(&trace, "step");
    for (int i = 0; i < 5; ++i) const TraceSpan forward(&trace, "forward");
    const CallTrace call = trace.open_call(group, "all_reduce", 8);
    { const TraceSpan wait(call); }
    call.done();
  }
  trace.end();
  ASSERT_EQ(trace.events().size(), 4U);
  EXPECT_EQ(trace.num_dropped(), 3) << "two forwards and a call; a wait without a call is none";
  EXPECT_GE(trace.events()[0].end, trace.first_dropped());
  EXPECT_GE(trace.first_dropped(), trace.events()[3].end);
  trace.begin();
  trace.end();
  EXPECT_EQ(trace.num_dropped(), 0);
  EXPECT_EQ(trace.first_dropped(), 0);
}

TEST(Trace, MisuseIsABug) {
  Trace trace;
  EXPECT_THROW(trace.end(), Error);
  trace.begin();
  EXPECT_THROW(trace.begin(), Error);
  EXPECT_THROW(trace.add_group("late", 0, {0}), Error);
  EXPECT_THROW(trace.forget(), Error);
  trace.end();
  EXPECT_THROW(trace.add_group("stranger", 2, {0, 1}), Error);
}

}  // namespace
}  // namespace cloze
