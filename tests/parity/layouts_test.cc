// Every layout of up to eight ranks trains the same model as one rank.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/parity/layout_run.h"

namespace cloze {
namespace {

using Family = config::Model::Family;
using Compute = config::Precision::Compute;

void set_dropout(config::Run& run, double share) {
  run.mutable_model()->set_embedding_dropout(share);
  run.mutable_model()->set_attention_dropout(share);
  run.mutable_model()->set_output_dropout(share);
}

// Trains on every layout, with and without sequence parallelism, and hands both outcomes over.
template <typename Compare>
void for_every_layout(config::Run run, int steps, const Compare& compare) {
  const BatchesOfStep batches = sampled_batches(run);
  run.mutable_parallel()->set_sequence(false);
  const LayoutOutcome expected = train_on(run, {}, steps, batches);
  for (const Degrees& layout : all_layouts()) {
    for (const bool sequence : {false, true}) {
      if (sequence && layout.tensor == 1) continue;
      SCOPED_TRACE(name_of(layout) + (sequence ? " with sequence parallelism" : ""));
      run.mutable_parallel()->set_sequence(sequence);
      compare(expected, train_on(run, layout, steps, batches));
    }
  }
}

class LayoutsTest : public testing::TestWithParam<Family> {
 protected:
  config::Run run(Compute compute) const {
    config::Run run = small_run(GetParam(), compute);
    if (GetParam() == config::Model::glm2021) set_dropout(run, 0.1);
    return run;
  }
};

INSTANTIATE_TEST_SUITE_P(Families, LayoutsTest,
                         testing::Values(config::Model::glm4, config::Model::glm2021),
                         [](const auto& info) { return config::Model::Family_Name(info.param); });

TEST_P(LayoutsTest, InitialWeightsAreTheSameBits) {
  for_every_layout(run(config::Precision::fp32), 0,
                   [](const LayoutOutcome& expected, const LayoutOutcome& outcome) {
                     EXPECT_TRUE(same_bits(expected.initial, outcome.initial));
                   });
}

// Five updates in float64, where a difference is a mistake and not rounding.
TEST_P(LayoutsTest, LossesGradientsAndFiveUpdatesAgreeInDouble) {
  for_every_layout(run(config::Precision::fp64), 5,
                   [](const LayoutOutcome& expected, const LayoutOutcome& outcome) {
                     for (std::size_t step = 0; step < 5; ++step) {
                       EXPECT_NEAR(outcome.losses[step] / expected.losses[step], 1, 1e-11);
                       EXPECT_NEAR(outcome.norms[step] / expected.norms[step], 1, 1e-6);
                     }
                     EXPECT_LT(relative_difference(expected.gradients, outcome.gradients), 1e-10);
                     EXPECT_LT(relative_difference(expected.final, outcome.final), 1e-8);
                   });
}

// One step in fp32: sums run in another order, so the last bits differ.
TEST_P(LayoutsTest, LossAndGradientsAgreeInSinglePrecision) {
  for_every_layout(run(config::Precision::fp32), 1,
                   [](const LayoutOutcome& expected, const LayoutOutcome& outcome) {
                     EXPECT_NEAR(outcome.losses[0] / expected.losses[0], 1, 1e-6);
                     EXPECT_LT(relative_difference(expected.gradients, outcome.gradients), 2e-5);
                   });
}

// Products large enough for the tile unit, which is as close to float64 as the library's.
TEST(TileLayoutsTest, ProductsOnTilesTrainTheSameModelOnEveryLayout) {
  if (!has_tile_unit()) GTEST_SKIP() << "this processor has no tile unit";
  config::Run run = small_run(config::Model::glm4, config::Precision::fp32);
  run.mutable_model()->set_num_hidden_layers(4);
  run.mutable_model()->set_hidden_size(256);
  run.mutable_model()->set_intermediate_size(512);
  run.mutable_model()->set_vocab_size(1003);
  run.mutable_model()->set_initializer_range(0.02);
  run.mutable_model()->set_max_position_embeddings(256);
  run.mutable_data()->set_seq_length(250);
  run.mutable_batch()->set_micro_size(2);
  const BatchesOfStep batches = sampled_batches(run);
  const auto trained = [&](const Degrees& layout, int threads, const Kernels& kernels) {
    return train_on(run, layout, 2, batches, 1e-3, threads, {}, connect_threads, kernels);
  };
  const LayoutOutcome one = trained({}, 1, cpu_kernels_on_tiles());
  const LayoutOutcome two_threads = trained({}, 2, cpu_kernels_on_tiles());
  EXPECT_TRUE(same_bits(one.final, two_threads.final));
  const LayoutOutcome library = trained({}, 1, cpu_kernels());
  EXPECT_FALSE(same_bits(one.final, library.final)) << "tiles were not used";
  run.mutable_precision()->set_compute(config::Precision::fp64);
  const LayoutOutcome exact = trained({}, 1, cpu_kernels());
  run.mutable_precision()->set_compute(config::Precision::fp32);
  // No farther from float64 than the library's.
  EXPECT_LT(relative_difference(one.gradients, exact.gradients),
            relative_difference(library.gradients, exact.gradients));
  for (const Degrees& layout :
       {Degrees{.tensor = 2}, Degrees{.data = 2}, Degrees{.pipeline = 2, .data = 2, .tensor = 2}}) {
    SCOPED_TRACE(name_of(layout));
    const LayoutOutcome outcome = trained(layout, 1, cpu_kernels_on_tiles());
    EXPECT_NEAR(outcome.losses[0], one.losses[0], 1e-6 * one.losses[0]);
    EXPECT_LT(relative_difference(outcome.gradients, one.gradients), 2e-5);
  }
  const LayoutOutcome staged = trained({.pipeline = 2}, 1, cpu_kernels_on_tiles());
  EXPECT_TRUE(same_bits(staged.final, one.final));
}

}  // namespace
}  // namespace cloze
