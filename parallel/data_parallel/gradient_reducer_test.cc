#include "parallel/data_parallel/gradient_reducer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "parallel/comm/groups.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

ParameterSpec spec_of(const std::string& name, const Shape& shape, std::uint32_t site,
                      GradientSum sum = GradientSum::kNone) {
  ParameterSpec spec;
  spec.name = name;
  spec.box = Box::whole(shape);
  spec.site = site;
  spec.sum = sum;
  spec.initial_std = 1;
  return spec;
}

// A rank's gradient of group `index`: integers, so that sums are exact.
float gradient_of(int rank, std::size_t index) {
  return static_cast<float>((rank + 1) * 100 + static_cast<int>(index));
}

struct Rank {
  Groups groups;
  ParameterTable table;
  std::vector<ParameterGroup*> parameters;

  Rank(LocalWorld& world, int rank, const Degrees& degrees)
      : groups(connect_local(Mesh(degrees), world, rank, 1)) {
    parameters.push_back(&table.add({spec_of("a", {5, 4}, 0)}));
    parameters.push_back(&table.add({spec_of("norm", {6}, 1, GradientSum::kTensor)}));
    parameters.push_back(&table.add({spec_of("b", {3, 2}, 2), spec_of("c", {4, 2}, 3)}));
    table.allocate(at::kFloat);
    table.initialise(1);
  }
  GradientReducer reducer(int zero_stage, std::int64_t bucket_bytes) {
    return GradientReducer(table, {.bucket_bytes = bucket_bytes, .zero_stage = zero_stage},
                           *groups.data, *groups.tensor, *groups.kv_replicas);
  }
};

class GradientReducerTest : public testing::TestWithParam<std::tuple<int, int, int>> {
 protected:
  int data() const { return std::get<0>(GetParam()); }
  int zero_stage() const { return std::get<1>(GetParam()); }

  // Calls body(rank, its reducer, its number) on every data rank.
  template <typename Body>
  void on_ranks(const Body& body) const {
    run_ranks(data(), [&](LocalWorld& world, int number) {
      Rank rank(world, number, {.data = data()});
      GradientReducer reducer = rank.reducer(zero_stage(), std::get<2>(GetParam()));
      body(rank, reducer, number);
    });
  }
};

INSTANTIATE_TEST_SUITE_P(Cuts, GradientReducerTest,
                         testing::Combine(testing::Values(1, 2, 3), testing::Values(0, 1),
                                          testing::Values(1, 1 << 20)));

TEST_P(GradientReducerTest, OwnedRowsHoldTheSumOverAllRanks) {
  on_ranks([&](Rank& rank, GradientReducer& reducer, int number) {
    for (int step = 0; step < 2; ++step) {  // Twice: begin() forgets the step before.
      reducer.begin();
      for (std::size_t i = rank.parameters.size(); i-- > 0;) {
        rank.parameters[i]->main_grad.add_(gradient_of(number, i));
        reducer.on_ready(*rank.parameters[i]);
      }
      reducer.finish();
    }
    for (const UpdateShard& shard : reducer.shards()) {
      for (const OwnedRows& rows : shard.owned) {
        const std::string& name = rows.parameter->spec.name;
        const std::size_t index = name == "a" ? 0 : name == "norm" ? 1 : 2;
        float expected = 0;
        for (int other = 0; other < data(); ++other) expected += gradient_of(other, index);
        const at::Tensor sum = shard.gradient.narrow(0, rows.shard_offset, rows.elements);
        EXPECT_TRUE(at::all(sum == expected).item<bool>()) << name;
      }
    }
  });
}

// What ZeRO is for: at stage 1 a rank keeps its own rows and no others.
TEST_P(GradientReducerTest, StageOneKeepsOwnedRowsAlone) {
  on_ranks([&](Rank&, GradientReducer& reducer, int) {
    for (const UpdateShard& shard : reducer.shards()) {
      std::int64_t owned = 0;
      for (const OwnedRows& rows : shard.owned) owned += rows.elements;
      if (zero_stage() == 1 && data() > 1) {
        EXPECT_FALSE(shard.whole);
        EXPECT_EQ(shard.value.numel(), owned);
        EXPECT_EQ(shard.gradient.numel(), owned);
        EXPECT_LT(owned, shard.buffer->value.numel());
      } else {
        EXPECT_TRUE(shard.whole);
        EXPECT_EQ(shard.value.numel(), shard.buffer->value.numel());
      }
    }
  });
}

TEST_P(GradientReducerTest, PublishedValuesReachEveryRank) {
  on_ranks([&](Rank& rank, GradientReducer& reducer, int) {
    const at::Tensor expected = rank.parameters[0]->value * 2;
    for (UpdateShard& shard : reducer.shards()) shard.value.mul_(2);  // As an optimizer would.
    reducer.publish_values();
    EXPECT_TRUE(at::equal(rank.parameters[0]->value, expected));
  });
}

TEST(GradientReducerTest, PartialGradientsAreSummedOverTensorRanks) {
  run_ranks(4, [](LocalWorld& world, int number) {
    Rank rank(world, number, {.data = 2, .tensor = 2});
    GradientReducer reducer = rank.reducer(0, 1 << 20);
    reducer.begin();
    for (std::size_t i = 0; i < rank.parameters.size(); ++i) {
      rank.parameters[i]->main_grad.fill_(gradient_of(number, i));
      reducer.on_ready(*rank.parameters[i]);
    }
    reducer.finish();
    // The norm over all four ranks; the matrices over data alone: ranks t and t + 2.
    EXPECT_EQ(rank.parameters[1]->main_grad[0].item<float>(), 100 + 200 + 300 + 400 + 4 * 1);
    const int tensor = number % 2;
    EXPECT_EQ(rank.parameters[0]->main_grad[0][0].item<float>(),
              gradient_of(tensor, 0) + gradient_of(tensor + 2, 0));
  });
}

TEST(GradientReducerTest, AGradientThatNeverComesIsNamed) {
  run_ranks(1, [](LocalWorld& world, int number) {
    Rank rank(world, number, {});
    GradientReducer reducer = rank.reducer(1, 1);
    reducer.begin();
    reducer.on_ready(*rank.parameters[0]);
    try {
      reducer.finish();
      ADD_FAILURE() << "a missing gradient passed";
    } catch (const Error& error) {
      EXPECT_NE(error.problem().find("never came"), std::string::npos);
    }
    EXPECT_THROW(reducer.on_ready(*rank.parameters[0]), Error);  // Twice in a step.
  });
}

}  // namespace
}  // namespace cloze
