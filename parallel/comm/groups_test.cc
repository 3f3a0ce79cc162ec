#include "parallel/comm/groups.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

// The world ranks of a group, in its order, as its communicator connects them.
std::vector<int> members_of(Communicator& group, int world_rank) {
  at::Tensor all = at::empty({group.size()}, at::kInt);
  group.all_gather(all, at::full({1}, world_rank, at::kInt)).wait();
  const auto* first = all.const_data_ptr<int>();
  return {first, first + group.size()};
}

TEST(GroupsTest, EveryAxisHasACommunicatorOfItsRanksInOrder) {
  const Mesh mesh({.pipeline = 2, .data = 2, .context = 2, .tensor = 2});
  run_ranks(mesh.world(), [&](LocalWorld& world, int rank) {
    const Groups groups = connect_local(mesh, world, rank, /*kv_replicas=*/1);
    EXPECT_EQ(groups.at, mesh.coordinates(rank));
    EXPECT_EQ(members_of(*groups.world, rank), world.everyone());
    EXPECT_EQ(members_of(*groups.tensor, rank), mesh.group(Axis::kTensor, rank));
    EXPECT_EQ(members_of(*groups.data, rank), mesh.group(Axis::kData, rank));
    EXPECT_EQ(members_of(*groups.context, rank), mesh.group(Axis::kContext, rank));
    for (const auto* stages : {&groups.pipeline_forward, &groups.pipeline_backward}) {
      EXPECT_EQ(members_of(**stages, rank), mesh.group(Axis::kPipeline, rank));
      EXPECT_EQ((*stages)->rank(), groups.at.pipeline);
    }
    EXPECT_EQ(members_of(*groups.model, rank),
              mesh.group(std::vector<Axis>{Axis::kPipeline, Axis::kTensor}, rank));
    EXPECT_EQ(members_of(*groups.kv_replicas, rank), std::vector<int>{rank});
  });
}

TEST(GroupsTest, FirstAndLastStageShareTheEmbeddingAndAStageBetweenIsAlone) {
  const Mesh mesh({.pipeline = 4, .data = 1, .context = 1, .tensor = 2});
  run_ranks(mesh.world(), [&](LocalWorld& world, int rank) {
    const Groups groups = connect_local(mesh, world, rank, 1);
    const bool end = groups.at.pipeline == 0 || groups.at.pipeline == 3;
    const std::vector<int> expected =
        end ? std::vector<int>{groups.at.tensor, 6 + groups.at.tensor} : std::vector<int>{rank};
    EXPECT_EQ(members_of(*groups.embedding, rank), expected);
  });
}

TEST(GroupsTest, ConsecutiveTensorRanksHoldTheSameKvHead) {
  const Mesh mesh({.pipeline = 1, .data = 2, .context = 1, .tensor = 4});
  run_ranks(mesh.world(), [&](LocalWorld& world, int rank) {
    const Groups groups = connect_local(mesh, world, rank, /*kv_replicas=*/2);
    const int first = rank / 2 * 2;
    EXPECT_EQ(members_of(*groups.kv_replicas, rank), (std::vector<int>{first, first + 1}));
  });
}

TEST(GroupsTest, AllLayoutsOfEightRanksConnect) {
  for (const Degrees& degrees : layouts_of(8)) {
    const Mesh mesh(degrees);
    run_ranks(8, [&](LocalWorld& world, int rank) {
      const Groups groups = connect_local(mesh, world, rank, degrees.tensor);
      EXPECT_EQ(groups.model->size() * groups.data->size(), 8);
      EXPECT_EQ(members_of(*groups.kv_replicas, rank), members_of(*groups.tensor, rank));
    });
  }
}

TEST(GroupsTest, ReplicasThatDoNotDivideTheTensorDegreeAreRefused) {
  LocalWorld world(4);
  const Mesh mesh({.tensor = 4});
  EXPECT_THROW(connect_local(mesh, world, 0, 3), Error);
  EXPECT_THROW(connect_local(mesh, world, 0, 0), Error);
}

// The error of a launch that does not fit.
Error launch_error(const Degrees& degrees, int world_size, int num_launched) {
  try {
    check_launch(Mesh(degrees), world_size, num_launched);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ExitCode::kDone, "", ""};
}

TEST(CheckLaunchTest, SaysHowToLaunchAsManyRanksAsTheLayoutNeeds) {
  const Error error = launch_error({.pipeline = 2, .tensor = 2}, /*world_size=*/3, 3);
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_NE(error.problem().find("= 4 ranks, the job has 3"), std::string::npos) << error.what();
  EXPECT_NE(error.fix().find("mpirun -n 4"), std::string::npos) << error.what();
}

TEST(CheckLaunchTest, ALauncherOfAnotherMpiIsRecognised) {
  for (const Degrees& degrees : {Degrees{}, Degrees{.tensor = 4}}) {
    const Error error = launch_error(degrees, /*world_size=*/1, /*num_launched=*/4);
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.problem().find("the launcher started 4 processes"), std::string::npos);
  }
  check_launch(Mesh(Degrees{}), 1, 1);
}

TEST(EnvironmentTest, TheFirstNumberOfAThreadListCounts) {
  EXPECT_EQ(first_of_thread_list("1"), 1);
  EXPECT_EQ(first_of_thread_list(" 16 "), 16);
  EXPECT_EQ(first_of_thread_list("4,2"), 4) << "OpenMP's list of nested levels";
  EXPECT_EQ(first_of_thread_list("4 , 2,1"), 4);
  EXPECT_EQ(first_of_thread_list("4096"), 4096);
}

// OpenMP itself ignores these and takes all cores.
TEST(EnvironmentTest, AMalformedThreadListIsAnError) {
  for (const char* text : {"", " ", "abc", "0", "-1", "+2", "2x", "0x2", "1e1", "4,", ",4", "4,,2",
                           "4,0", "4,x", "4;2", "4097", "99999999999999999999", "2.5"}) {
    try {
      first_of_thread_list(text);
      ADD_FAILURE() << "no error for '" << text << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find(str("OMP_NUM_THREADS is '", text, "'")), std::string::npos)
          << error.problem();
      EXPECT_NE(error.fix().find("from 1 to 4096"), std::string::npos) << error.fix();
    }
  }
}

TEST(EnvironmentTest, OnlyModesThatMklKnowsAreTaken) {
  for (const char* mode : {"AUTO", "COMPATIBLE", "AVX2", "AVX2,STRICT", "AVX512,STRICT"}) {
    EXPECT_NO_THROW(check_mkl_mode(mode)) << mode;
  }
  for (const char* mode : {"", "AVX-512", "avx3", "AVX2,", "AVX2,LAX", "STRICT", ",STRICT"}) {
    try {
      check_mkl_mode(mode);
      ADD_FAILURE() << "no error for " << mode;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find("MKL_CBWR"), std::string::npos);
    }
  }
}

TEST(EnvironmentTest, AnAddressThatReplacesNcclsSecretIsRefused) {
  check_nccl_address(nullptr);
  try {
    check_nccl_address("10.0.0.1:12345");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.problem().find("'10.0.0.1:12345'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace cloze
