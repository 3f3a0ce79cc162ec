// What a communicator writes into a trace, and how clocks are compared.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <thread>

#include "parallel/base/check.h"
#include "parallel/comm/clock_offset.h"
#include "parallel/comm/groups.h"
#include "parallel/trace/trace.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

std::vector<TraceEvent> of_kind(const Trace& trace, TraceKind kind) {
  std::vector<TraceEvent> found;
  for (const TraceEvent& event : trace.events()) {
    if (event.kind == kind) found.push_back(event);
  }
  return found;
}

TEST(CallTrace, EveryCallHasItsBytesItsNumberAndItsWait) {
  run_ranks(3, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("data", world.everyone(), rank);
    Trace trace;
    group->record_into(trace, {5, 6, 7});
    trace.begin();
    const at::Tensor small = at::ones({10});
    const at::Tensor whole = at::ones({30});
    group->all_reduce(small, ReduceOp::kSum).wait();
    group->all_gather(whole, small).wait();
    group->reduce_scatter(small, whole, ReduceOp::kSum).wait();
    const std::vector<std::int64_t> rows(3, 10);
    group->all_to_all(at::empty({30}), whole, rows, rows).wait();
    group->broadcast(small, 1).wait();
    group->barrier();
    trace.end();

    const std::vector<TraceEvent> calls = of_kind(trace, TraceKind::kCall);
    const std::vector<TraceEvent> waits = of_kind(trace, TraceKind::kWait);
    ASSERT_EQ(calls.size(), 6U);
    ASSERT_EQ(waits.size(), 6U);
    const std::vector<std::pair<std::string, std::int64_t>> expected = {
        {"all_reduce", 40},  {"all_gather", 120}, {"reduce_scatter", 120},
        {"all_to_all", 120}, {"broadcast", 40},   {"barrier", 0}};
    for (std::size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(calls[i].name, expected[i].first);
      EXPECT_EQ(calls[i].bytes, expected[i].second) << calls[i].name;
      EXPECT_EQ(calls[i].number, i);
      EXPECT_STREQ(waits[i].name, calls[i].name);
      EXPECT_EQ(waits[i].number, calls[i].number);
      EXPECT_LE(calls[i].begin, waits[i].begin);
      EXPECT_LE(waits[i].begin, calls[i].end);
    }
    EXPECT_EQ(trace.groups().at(0).name, "data");
    EXPECT_EQ(trace.groups().at(0).rank, rank);
  });
}

TEST(CallTrace, ACallIsInFlightFromItsIssueUntilItIsKnownToBeDone) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("tensor", world.everyone(), rank);
    Trace trace;
    group->record_into(trace, {0, 1});
    trace.begin();
    at::Tensor x = at::ones({4});
    Work work = group->all_reduce(x, ReduceOp::kSum);
    std::int64_t computed = 0;
    {
      const TraceSpan span(&trace, "forward");
      while (!work.test()) std::this_thread::yield();
      computed = Trace::now();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    work.wait();
    trace.end();
    const TraceEvent call = of_kind(trace, TraceKind::kCall).at(0);
    EXPECT_LE(call.end, computed) << "test() saw it done, long before wait()";
    const TraceEvent wait = of_kind(trace, TraceKind::kWait).at(0);
    EXPECT_GE(wait.begin, computed + 2'000'000);
    EXPECT_EQ(x[0].item<float>(), 2);
  });
}

TEST(CallTrace, MessagesAreRecordedOnBothSides) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("pipeline", world.everyone(), rank);
    Trace trace;
    group->record_into(trace, {4, 9});
    trace.begin();
    for (int i = 0; i < 2; ++i) {
      const std::vector<Transfer> transfers = {{at::ones({3 + i}), 1 - rank},
                                               {at::ones({5}), 1 - rank}};
      if (rank == 0) {
        group->exchange(transfers, {}).wait();
      } else {
        group->exchange({}, transfers).wait();
      }
    }
    // What a rank sends itself never leaves it, and is no message.
    const std::vector<Transfer> own = {{at::ones({2}), rank}};
    group->exchange(own, own).wait();
    trace.end();
    const auto mine = of_kind(trace, rank == 0 ? TraceKind::kSend : TraceKind::kReceive);
    ASSERT_EQ(mine.size(), 4U);
    const std::vector<std::int64_t> bytes = {12, 20, 16, 20};
    for (std::size_t i = 0; i < mine.size(); ++i) {
      EXPECT_EQ(mine[i].number, i);
      EXPECT_EQ(mine[i].bytes, bytes[i]);
      EXPECT_EQ(mine[i].peer, 1 - rank);
      EXPECT_GE(mine[i].end, mine[i].begin);
    }
    EXPECT_TRUE(of_kind(trace, rank == 0 ? TraceKind::kReceive : TraceKind::kSend).empty());
  });
}

TEST(CallTrace, AGroupOfOneAndEmptyTensorsMakeNoCall) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    const auto alone = world.communicator("alone", {rank}, rank);
    const auto both = world.communicator("both", world.everyone(), rank);
    Trace trace;
    alone->record_into(trace, {rank});
    both->record_into(trace, {0, 1});
    trace.begin();
    alone->all_reduce(at::ones({4}), ReduceOp::kSum).wait();
    alone->barrier();
    both->all_reduce(at::empty({0}), ReduceOp::kSum).wait();
    trace.end();
    EXPECT_TRUE(trace.events().empty());
  });
}

TEST(CallTrace, NothingIsRecordedOffOrAfterTheRecordingHasStopped) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("data", world.everyone(), rank);
    {
      Trace trace;
      group->record_into(trace, {0, 1});
      group->barrier();
      trace.begin();
      group->barrier();
      EXPECT_EQ(trace.events().size(), 2U);
      group->stop_recording();
      group->barrier();
      EXPECT_EQ(trace.events().size(), 2U);
    }
    group->barrier();  // The trace is gone.
    EXPECT_THROW(
        {
          Trace trace;
          group->record_into(trace, {0});
        },
        Error);
  });
}

TEST(CallTrace, AllGroupsOfAMeshKnowTheirMembers) {
  const Mesh mesh(Degrees{.pipeline = 2, .data = 2, .context = 1, .tensor = 2});
  run_ranks(8, [&](LocalWorld& world, int rank) {
    const Groups groups = connect_local(mesh, world, rank, 1);
    Trace trace;
    record_calls(groups, trace);
    ASSERT_EQ(trace.groups().size(), 10U);
    for (const TraceGroup& group : trace.groups()) {
      EXPECT_EQ(group.members.at(group.rank), rank) << group.name;
      if (group.name == "tensor") {
        EXPECT_EQ(group.members, mesh.group(Axis::kTensor, rank));
      } else if (group.name == "data" || group.name == "data_on_host") {
        EXPECT_EQ(group.members, mesh.group(Axis::kData, rank));
      } else if (group.name == "world") {
        EXPECT_EQ(group.members.size(), 8U);
      }
    }
    groups.world->barrier();
    stop_recording(groups);
  });
}

TEST(ClockOffset, RanksOfOneProcessHaveOneClock) {
  for (const int size : {1, 2, 5}) {
    run_ranks(size, [](LocalWorld& world, int rank) {
      const auto group = world.communicator("world", world.everyone(), rank);
      const std::int64_t before = Trace::now();
      const ClockReading reading = read_clock_offset(*group);
      EXPECT_LE(std::abs(reading.offset), reading.uncertainty) << "the true offset is 0";
      EXPECT_LT(reading.uncertainty, 1'000'000'000);
      EXPECT_GE(reading.time, before);
      EXPECT_LE(reading.time, Trace::now());
      if (rank == 0) {
        EXPECT_EQ(reading.uncertainty, 0);
      }
    });
  }
}

TEST(ClockOffset, RanksOfOneHostHaveOneReading) {
  // Of rank: rank 0's host, unknown, another host twice, rank 0's host again.
  constexpr std::array<std::uint64_t, 5> kClocks = {~std::uint64_t{0}, 0, 7, 7, ~std::uint64_t{0}};
  constexpr std::array<std::int64_t, 5> kUncertainties = {0, 40, 30, 20, 10};
  constexpr std::array<int, 5> kTaken = {0, 1, 3, 3, 0};
  const auto reading_of_rank = [&](int rank) {
    return ClockReading{.time = 1000 + rank,
                        .offset = rank * -5,
                        .uncertainty = kUncertainties.at(static_cast<std::size_t>(rank))};
  };
  run_ranks(5, [&](LocalWorld& world, int rank) {
    const auto group = world.communicator("world", world.everyone(), rank);
    const auto place = static_cast<std::size_t>(rank);
    EXPECT_EQ(share_clock(*group, reading_of_rank(rank), kClocks.at(place)),
              reading_of_rank(kTaken.at(place)));
  });
}

}  // namespace
}  // namespace cloze
