// The claims of the suite over MPI, and what only MPI can get wrong: messages cut in pieces, a
// deadline, groups of a real job.
#include "parallel/comm/mpi_communicator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/comm/groups.h"
#include "tests/comm/communicator_suite.h"
#include "tests/support/mpi_test_main.h"

namespace cloze {
namespace {

std::vector<int> everyone() {
  std::vector<int> ranks(test_session().world_size());
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

class MpiCommunicatorTest : public testing::TestWithParam<suite::Claim> {};

TEST_P(MpiCommunicatorTest, Holds) {
  GetParam().check(
      [](const std::string& name) { return test_session().communicator(name, everyone()); });
}

TEST_P(MpiCommunicatorTest, HoldsWhenLongMessagesAreCut) {
  MpiProgress progress;
  GetParam().check([&](const std::string& name) -> std::unique_ptr<Communicator> {
    const MpiSession& session = test_session();
    MPI_Comm comm = MPI_COMM_NULL;
    if (session.world_size() > 1) check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
    return std::make_unique<MpiCommunicator>(name, comm, session.world_rank(), session.world_size(),
                                             progress, session.deadline(),
                                             /*max_message_bytes=*/1000);
  });
}

INSTANTIATE_TEST_SUITE_P(Suite, MpiCommunicatorTest, testing::ValuesIn(suite::kClaims),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(MpiSessionTest, AGroupKeepsTheOrderOfItsMembers) {
  std::vector<int> backwards = everyone();
  std::ranges::reverse(backwards);
  const int rank = test_session().world_rank();
  const auto group = test_session().communicator("backwards", backwards);
  EXPECT_EQ(group->rank(), group->size() - 1 - rank);
  at::Tensor ranks = at::empty({group->size()}, at::kInt);
  group->all_gather(ranks, at::full({1}, rank, at::kInt)).wait();
  for (int i = 0; i < group->size(); ++i) EXPECT_EQ(ranks[i].item<int>(), backwards[i]);
}

TEST(MpiSessionTest, AllRanksOfOneMachineKnowEachOther) {
  EXPECT_EQ(test_session().local_size(), test_session().world_size());
  EXPECT_EQ(test_session().local_rank(), test_session().world_rank());
}

// A message too long to be sent unasked, while its sender makes no call of MPI: the receiver copies
// it out of the sender's memory, or a thread of the sender's answers.
TEST(MpiSessionTest, AMessageArrivesWhileItsSenderComputes) {
  MpiSession& session = test_session();
  if (session.world_size() == 1) return;
  const auto group = session.communicator("world", everyone());
  at::Tensor process = at::full({1}, static_cast<std::int64_t>(::getpid()), at::kLong);
  group->broadcast(process, 0).wait();
  const std::filesystem::path arrived = std::filesystem::temp_directory_path() /
                                        str("cloze-message-arrived-", process.item<std::int64_t>());
  at::Tensor message = at::full({std::int64_t{1} << 24}, session.world_rank(), at::kInt);
  if (session.world_rank() == 0) {
    Work work = group->exchange(std::vector<Transfer>{{message, 1}}, {});
    const auto start = Clock::now();
    while (!std::filesystem::exists(arrived) && seconds_since(start) < 60) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(std::filesystem::remove(arrived)) << "the message waited for its sender";
    work.wait();
  } else if (session.world_rank() == 1) {
    group->exchange({}, std::vector<Transfer>{{message, 0}}).wait();
    EXPECT_TRUE(at::all(message == 0).item<bool>());
    std::ofstream(arrived).put('1');
  }
  group->barrier();
}

TEST(MpiSessionTest, ARankThatWaitsTooLongSaysWhereAndWhy) {
  MpiSession& session = test_session();
  if (session.world_size() == 1) return;  // Nobody to wait for.
  const auto usual = session.deadline();
  session.set_deadline(std::chrono::seconds(1));
  const auto group = session.communicator("pipeline_forward", everyone());
  session.set_deadline(usual);
  const auto world = session.communicator("world", everyone());
  at::Tensor tensor = at::zeros({3});
  if (session.world_rank() == 0) {
    Work work = group->exchange({}, std::vector<Transfer>{{tensor, 1}});
    try {
      work.wait();
      ADD_FAILURE() << "nobody has sent anything";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kTransient);
      EXPECT_NE(error.problem().find("pipeline_forward.exchange"), std::string::npos);
      EXPECT_NE(error.problem().find("has waited 1 s"), std::string::npos) << error.what();
    }
  }
  world->barrier();
  // The late message finds the memory that the abandoned Work has left behind.
  if (session.world_rank() == 1) {
    group->exchange(std::vector<Transfer>{{tensor, 0}}, {}).wait();
  }
  world->barrier();
}

TEST(MpiSessionTest, StagingMemoryIsUsedAgain) {
  MpiProgress progress;
  at::Tensor staging = progress.take_staging(10000);
  const void* memory = staging.data_ptr();
  EXPECT_NE(progress.take_staging(10000).data_ptr(), memory) << "two calls share memory";
  progress.give_staging(std::move(staging));
  EXPECT_NE(progress.take_staging(20000).data_ptr(), memory) << "it is too small";
  EXPECT_EQ(progress.take_staging(9000).data_ptr(), memory);
}

TEST(GroupsTest, EveryLayoutOfTheJobConnectsItsRanks) {
  const int rank = test_session().world_rank();
  for (const Degrees& degrees : layouts_of(test_session().world_size())) {
    const Mesh mesh(degrees);
    const Groups groups = connect(mesh, test_session(), degrees.tensor);
    EXPECT_EQ(groups.at, mesh.coordinates(rank));
    const auto connects = [&](Communicator& group, const std::vector<int>& members) {
      EXPECT_EQ(group.size(), static_cast<int>(members.size())) << group.name();
      at::Tensor ranks = at::empty({group.size()}, at::kInt);
      group.all_gather(ranks, at::full({1}, rank, at::kInt)).wait();
      for (int i = 0; i < group.size(); ++i) {
        EXPECT_EQ(ranks[i].item<int>(), members[i]) << group.name();
      }
    };
    connects(*groups.world, everyone());
    connects(*groups.tensor, mesh.group(Axis::kTensor, rank));
    connects(*groups.data, mesh.group(Axis::kData, rank));
    connects(*groups.context, mesh.group(Axis::kContext, rank));
    connects(*groups.pipeline_forward, mesh.group(Axis::kPipeline, rank));
    connects(*groups.pipeline_backward, mesh.group(Axis::kPipeline, rank));
    connects(*groups.model, mesh.group(std::vector<Axis>{Axis::kPipeline, Axis::kTensor}, rank));
    connects(*groups.kv_replicas, mesh.group(Axis::kTensor, rank));
    const std::vector<int> stages = mesh.group(Axis::kPipeline, rank);
    const bool end = rank == stages.front() || rank == stages.back();
    EXPECT_EQ(groups.embedding->size(), end && degrees.pipeline > 1 ? 2 : 1);
  }
}

TEST(GroupsTest, AJobOfAnotherSizeThanTheLayoutIsAnErrorOfUse) {
  const int world = test_session().world_size();
  try {
    connect(Mesh({.data = world + 1}), test_session(), 1);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.fix().find("mpirun -n " + std::to_string(world + 1)), std::string::npos);
  }
}

}  // namespace
}  // namespace cloze
