#include "data/batch_builder.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

SampleSource source_of(std::int64_t seq_length) {
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int32_t d = 0; d < 50; ++d) {
    documents.emplace_back(static_cast<std::size_t>(5 + (d * 13 % 60)), 10 + d);
  }
  std::vector<WeightedDocuments> sources;
  sources.push_back({memory_documents(documents), 1});
  return {{.special = kSpecial, .seq_length = seq_length, .seed = 3}, std::move(sources)};
}

TEST(BatchBuilderTest, RowsLieOneAfterAnotherWithTheirOwnIntervals) {
  const SampleSource source = source_of(40);
  BatchBuilder builder(source);
  const Batch batch = builder.build(100, 3);
  ASSERT_EQ(batch.num_tokens(), 120);
  EXPECT_EQ(batch.ordinals, std::vector<std::int64_t>({100, 101, 102}));
  for (std::size_t row = 0; row < 3; ++row) {
    const Batch alone = source.row(100 + static_cast<std::int64_t>(row));
    for (std::size_t i = 0; i < 40; ++i) {
      const std::size_t at = (row * 40) + i;
      EXPECT_EQ(batch.tokens[at], alone.tokens[i]);
      EXPECT_EQ(batch.targets[at], alone.targets[i]);
      EXPECT_EQ(batch.position[at], alone.position[i]);
      EXPECT_EQ(batch.lo[at], alone.lo[i] + static_cast<std::int32_t>(row * 40));
      EXPECT_EQ(batch.hi[at], alone.hi[i] + static_cast<std::int32_t>(row * 40));
    }
  }
}

TEST(BatchBuilderTest, BoundsNameEverySampleOfTheBatch) {
  const SampleSource source = source_of(40);
  BatchBuilder builder(source);
  const Batch batch = builder.build(0, 20);
  std::int64_t targets = 0;
  for (const SampleBounds& bounds : builder.bounds()) {
    const Sample sample = copy_sample(batch, bounds);
    EXPECT_EQ(static_cast<std::int64_t>(sample.tokens.size()), bounds.length);
    targets += bounds.separator < bounds.length ? bounds.length - bounds.separator : 0;
  }
  EXPECT_EQ(targets, batch.num_targets());
  EXPECT_EQ(targets, builder.counts().targets);
}

TEST(BatchBuilderTest, PadsTokensUpToAMultiple) {
  const SampleSource source = source_of(30);
  BatchBuilder builder(source, 16);
  const Batch batch = builder.build(0, 2);
  ASSERT_EQ(batch.num_tokens(), 64);
  EXPECT_EQ(batch.rows, 2);
  for (std::size_t i = 60; i < 64; ++i) {
    EXPECT_EQ(batch.lo[i], batch.hi[i]);
    EXPECT_EQ(batch.loss_mask[i], 0);
  }
}

TEST(BatchBuilderTest, ReusedBatchesKeepNothing) {
  const SampleSource source = source_of(40);
  BatchBuilder builder(source);
  Batch batch;
  builder.build(0, 8, batch);
  builder.build(50, 2, batch);
  const Batch fresh = builder.build(50, 2);
  EXPECT_EQ(batch.tokens, fresh.tokens);
  EXPECT_EQ(batch.hi, fresh.hi);
  EXPECT_EQ(batch.objective, fresh.objective);
  EXPECT_EQ(batch.ordinals, fresh.ordinals);
}

TEST(BatchBuilderTest, MicrobatchesOfReplicasShareAStepOut) {
  const MicrobatchOptions options = {.micro_size = 2, .data_rank = 1, .data_degree = 3};
  EXPECT_EQ(num_microbatches(12, options), 2);
  EXPECT_EQ(microbatch_ordinal(1000, 0, options), 1002);
  EXPECT_EQ(microbatch_ordinal(1000, 1, options), 1008);
  EXPECT_THROW(num_microbatches(10, options), Error);
}

}  // namespace
}  // namespace cloze
