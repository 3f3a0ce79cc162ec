// A cut layer equals the whole one: output, input gradient and every part of the weight gradient.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>

#include "parallel/comm/groups.h"
#include "parallel/tensor/column_parallel_linear.h"
#include "parallel/tensor/row_parallel_linear.h"
#include "parallel/tensor/vocab_parallel_embedding.h"
#include "parallel/tensor/vocab_parallel_head.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

constexpr std::int64_t kTokens = 12;

// Numbers that look random, the same on every rank.
at::Tensor numbers(at::IntArrayRef shape, double shift) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return at::sin(at::arange(count, at::kDouble) * 0.7 + shift).view(shape);
}

at::Tensor own_tokens(const at::Tensor& whole, const TensorParallel& tp) {
  return whole.narrow(0, tp.first_token(whole.size(0)), tp.local_tokens(whole.size(0)))
      .contiguous();
}

at::Tensor part_of_box(at::Tensor whole, const Box& box) {
  for (std::size_t dim = 0; dim < box.shape.size(); ++dim) {
    whole = whole.narrow(static_cast<std::int64_t>(dim), box.offset[dim], box.shape[dim]);
  }
  return whole;
}

void expect_close(const at::Tensor& actual, const at::Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LT((actual - expected).abs().max().item<double>(), 1e-12);
}

class TensorParallelTest : public testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  template <typename Body>
  void on_ranks(const Body& body) {
    const auto [degree, sequence] = GetParam();
    run_ranks(degree, [&, degree = degree, sequence = sequence](LocalWorld& world, int rank) {
      const Groups groups = connect_local(Mesh({.tensor = degree}), world, rank, 1);
      ParameterTable table;
      body(table, TensorParallel{*groups.tensor, sequence && degree > 1});
    });
  }
};

INSTANTIATE_TEST_SUITE_P(Degrees, TensorParallelTest,
                         testing::Combine(testing::Values(1, 2, 4), testing::Bool()));

// Fills the layer's values from whole tensors, one of each group's members in order.
void set_values(ParameterTable& table, const std::vector<at::Tensor>& wholes) {
  std::size_t next = 0;
  for (const ParameterGroup& group : table.groups()) {
    for (const Parameter& member : group.members) {
      at::Tensor value = member.value;
      value.copy_(part_of_box(wholes.at(next++), member.spec.box));
    }
  }
}

TEST_P(TensorParallelTest, AColumnLayerEqualsTheWholeOne) {
  on_ranks([](ParameterTable& table, const TensorParallel& tp) {
    const ColumnParallelLinear layer(
        table,
        {.parts = {{.name = "gate", .out_features = 8, .weight_site = 0},
                   {.name = "up", .out_features = 4, .weight_site = 1}},
         .in_features = 5,
         .layer = 0,
         .initial_std = 0,
         .bias = true},
        tp);
    table.allocate(at::kDouble);
    const at::Tensor gate = numbers({8, 5}, 1);
    const at::Tensor up = numbers({4, 5}, 2);
    const at::Tensor gate_bias = numbers({8}, 3);
    const at::Tensor up_bias = numbers({4}, 4);
    set_values(table, {gate, up, gate_bias, up_bias});
    const at::Tensor x = numbers({kTokens, 5}, 5);
    Pass pass;
    const at::Tensor y = layer.forward(pass, own_tokens(x, tp));
    const std::int64_t rows = 8 / tp.size();
    const at::Tensor whole_gate = at::mm(x, gate.t()) + gate_bias;
    const at::Tensor whole_up = at::mm(x, up.t()) + up_bias;
    expect_close(y.narrow(1, 0, rows), whole_gate.narrow(1, tp.rank() * rows, rows));
    expect_close(y.narrow(1, rows, rows / 2), whole_up.narrow(1, tp.rank() * rows / 2, rows / 2));

    const at::Tensor dgate = numbers({kTokens, 8}, 6);
    const at::Tensor dup = numbers({kTokens, 4}, 7);
    const at::Tensor dy = at::cat({dgate.narrow(1, tp.rank() * rows, rows),
                                   dup.narrow(1, tp.rank() * rows / 2, rows / 2)},
                                  1)
                              .contiguous();
    const at::Tensor dx = layer.backward(pass, dy, own_tokens(x, tp));
    expect_close(dx, own_tokens(at::mm(dgate, gate) + at::mm(dup, up), tp));
    const auto& groups = table.groups();
    expect_close(groups[0].members[0].main_grad,
                 part_of_box(at::mm(dgate.t(), x), groups[0].members[0].spec.box));
    expect_close(groups[1].members[1].main_grad,
                 part_of_box(dup.sum(0), groups[1].members[1].spec.box));
  });
}

TEST_P(TensorParallelTest, ARowLayerEqualsTheWholeOne) {
  on_ranks([](ParameterTable& table, const TensorParallel& tp) {
    const RowParallelLinear layer(table,
                                  {.name = "down",
                                   .in_features = 8,
                                   .out_features = 5,
                                   .layer = 0,
                                   .weight_site = 0,
                                   .initial_std = 0,
                                   .bias = true},
                                  tp);
    table.allocate(at::kDouble);
    const at::Tensor weight = numbers({5, 8}, 1);
    set_values(table, {weight, numbers({5}, 2)});
    const at::Tensor x = numbers({kTokens, 8}, 3);
    const std::int64_t columns = 8 / tp.size();
    const at::Tensor own = x.narrow(1, tp.rank() * columns, columns).contiguous();
    Pass pass;
    expect_close(layer.forward(pass, own), own_tokens(at::mm(x, weight.t()), tp));
    const at::Tensor dy = numbers({kTokens, 5}, 4);
    const at::Tensor dx = layer.backward(pass, own_tokens(dy, tp), own);
    expect_close(dx, at::mm(dy, weight).narrow(1, tp.rank() * columns, columns));
    expect_close(table.groups()[0].main_grad,
                 at::mm(dy.t(), x).narrow(1, tp.rank() * columns, columns));
    // Under sequence parallelism a rank has its tokens' part; the reducer sums it.
    expect_close(table.groups()[1].main_grad, own_tokens(dy, tp).sum(0));
  });
}

TEST_P(TensorParallelTest, AnEmbeddingOfAVocabularyThatDoesNotDivideEqualsTheTable) {
  on_ranks([](ParameterTable& table, const TensorParallel& tp) {
    const VocabParallelEmbedding layer(table,
                                       {.name = "embedding",
                                        .vocab_size = 7,
                                        .hidden_size = 3,
                                        .weight_site = 0,
                                        .initial_std = 0},
                                       tp);
    table.allocate(at::kDouble);
    const at::Tensor weight = numbers({7, 3}, 1);
    set_values(table, {weight});
    const std::vector<std::int32_t> ids = {0, 6, 3, 3, 1, 5, 2, 4, 6, 0, 3, 2};
    const at::Tensor index = at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()));
    expect_close(layer.forward(ids.data(), kTokens), own_tokens(weight.index_select(0, index), tp));
    const at::Tensor dy = numbers({kTokens, 3}, 2);
    Pass pass;
    layer.backward(pass, own_tokens(dy, tp), ids.data());
    const at::Tensor expected = at::zeros_like(weight).index_add(0, index, dy);
    expect_close(table.groups()[0].main_grad,
                 part_of_box(expected, table.groups()[0].members[0].spec.box));
  });
}

// The target of each place.
using TargetList = std::vector<std::pair<std::int64_t, std::int32_t>>;

// Losses, dx and the weight's gradient of the head on `tokens` tokens.
void expect_head_equals_log_softmax(ParameterTable& table, const TensorParallel& tp,
                                    std::int64_t tokens, const TargetList& list) {
  constexpr std::int64_t kVocab = 7;
  ParameterGroup& group = table.add({vocab_spec(
      {.name = "head", .vocab_size = kVocab, .hidden_size = 3, .weight_site = 0, .initial_std = 0},
      tp)});
  table.allocate(at::kDouble);
  const at::Tensor weight = numbers({kVocab, 3}, 1);
  set_values(table, {weight});
  const VocabParallelHead head(group, tp);
  const at::Tensor x = numbers({tokens, 3}, 2);
  Pass pass;
  std::vector<std::int64_t> places;
  std::vector<std::int32_t> ids;
  for (const auto& [place, id] : list) {
    places.push_back(place);
    ids.push_back(id);
  }
  const Targets targets{static_cast<std::int64_t>(list.size()), at::tensor(places), ids.data()};
  const std::vector<double> losses = head.forward(pass, own_tokens(x, tp), targets, 0.25).values();
  ASSERT_EQ(losses.size(), list.size());
  const at::Tensor log_p = at::log_softmax(at::mm(x, weight.t()), 1);
  at::Tensor dlogits = at::zeros({tokens, kVocab}, at::kDouble);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto [token, id] = list[i];
    EXPECT_NEAR(losses[i], -log_p[token][id].item<double>(), 1e-12);
    dlogits[token].copy_(log_p[token].exp() * 0.25);
    dlogits[token][id] -= 0.25;
  }
  expect_close(head.backward(pass), own_tokens(at::mm(dlogits, weight), tp));
  expect_close(group.main_grad, part_of_box(at::mm(dlogits.t(), x), group.members[0].spec.box));
}

TEST_P(TensorParallelTest, TheHeadsLossAndGradientsEqualLogSoftmax) {
  on_ranks([](ParameterTable& table, const TensorParallel& tp) {
    expect_head_equals_log_softmax(table, tp, kTokens, {{1, 6}, {4, 0}, {5, 3}, {11, 2}});
  });
}

// The head makes logits of 256 targets at a time: two whole chunks and a part of one.
TEST_P(TensorParallelTest, AHeadWithMoreTargetsThanAChunkEqualsLogSoftmax) {
  constexpr std::int64_t kMany = 700;
  TargetList targets;
  for (std::int64_t token = 0; token < kMany; ++token) {
    if (token % 7 == 3) continue;  // Not every token has one.
    targets.emplace_back(token, static_cast<std::int32_t>(token * 5 % 7));
  }
  ASSERT_GT(targets.size(), 512U);
  ASSERT_NE(targets.size() % 256, 0U);
  on_ranks([&](ParameterTable& table, const TensorParallel& tp) {
    expect_head_equals_log_softmax(table, tp, kMany, targets);
  });
}

TEST_P(TensorParallelTest, AMicrobatchWithoutTargetsHasNoLossAndNoGradient) {
  on_ranks([](ParameterTable& table, const TensorParallel& tp) {
    ParameterGroup& group = table.add({vocab_spec(
        {.name = "head", .vocab_size = 7, .hidden_size = 3, .weight_site = 0, .initial_std = 0},
        tp)});
    table.allocate(at::kDouble);
    const VocabParallelHead head(group, tp);
    Pass pass;
    const Targets none{0, at::empty({0}, at::kLong), nullptr};
    const at::Tensor x = own_tokens(numbers({kTokens, 3}, 2), tp);
    EXPECT_TRUE(head.forward(pass, x, none, 1).values().empty());
    EXPECT_EQ(head.backward(pass).abs().sum().item<double>(), 0);
  });
}

TEST(ReplicatedHeadsTest, RanksThatShareAHeadHoldTheSameRowsAndOneCountsThem) {
  run_ranks(4, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.tensor = 4}), world, rank, 2);
    ParameterTable table;
    const ColumnParallelLinear layer(
        table,
        {.parts = {{.name = "k", .out_features = 6, .weight_site = 0, .replicas = 2}},
         .in_features = 2,
         .layer = 0,
         .initial_std = 1},
        {*groups.tensor, false});
    const ParameterSpec& spec = table.groups()[0].members[0].spec;
    EXPECT_EQ(spec.box, Box::cut({6, 2}, 0, rank / 2 * 3, 3));
    EXPECT_EQ(spec.first_replica, rank % 2 == 0);
    EXPECT_EQ(spec.sum, GradientSum::kKvReplicas);
  });
}

}  // namespace
}  // namespace cloze
