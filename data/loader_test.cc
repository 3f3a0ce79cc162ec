#include "data/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

std::vector<std::vector<std::int32_t>> texts() {
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int32_t d = 0; d < 100; ++d) {
    std::vector<std::int32_t>& ids = documents.emplace_back();
    for (std::int32_t j = 0; j < 20 + (d * 37 % 200); ++j) ids.push_back(10 + ((d + j) % 90));
    ids.push_back(kSpecial.eos);
  }
  return documents;
}

SampleSource source_of(std::unique_ptr<const Documents> documents) {
  std::vector<WeightedDocuments> sources;
  sources.push_back({std::move(documents), 1});
  return {{.special = kSpecial, .seq_length = 64, .seed = 3}, std::move(sources)};
}

// Documents whose reads fail from the `good`-th on, or take their time.
class FaultyDocuments final : public Documents {
 public:
  FaultyDocuments(int good, std::chrono::milliseconds delay)
      : inner_(memory_documents(texts())), good_(good), delay_(delay) {}

  std::int64_t num_documents() const override { return inner_->num_documents(); }
  std::int64_t num_tokens() const override { return inner_->num_tokens(); }
  std::int64_t document_length(std::int64_t document) const override {
    return inner_->document_length(document);
  }
  void read_tokens(std::int64_t first, std::span<std::int32_t> out) const override {
    std::this_thread::sleep_for(delay_);
    CLOZE_REQUIRE(reads_++ < good_, ExitCode::kIo, "the disk is gone", "mount it again");
    inner_->read_tokens(first, out);
  }
  std::int64_t documents_without(std::int32_t eos) const override {
    return inner_->documents_without(eos);
  }
  bool ends_with(std::int64_t document, std::int32_t eos) const override {
    return inner_->ends_with(document, eos);
  }
  std::int64_t largest_id() const override { return inner_->largest_id(); }
  std::string fingerprint() const override { return inner_->fingerprint(); }
  std::string tokenizer_digest() const override { return ""; }
  std::string name() const override { return "faulty documents"; }

  int reads() const { return reads_; }

 private:
  std::unique_ptr<const Documents> inner_;
  int good_;
  std::chrono::milliseconds delay_;
  mutable std::atomic<int> reads_ = 0;
};

// The tokens of rows by ordinal, however the batches are cut.
void append_rows(const Batch& batch,
                 std::vector<std::pair<std::int64_t, std::vector<std::int32_t>>>& rows) {
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    const auto first = batch.tokens.begin() + row * batch.seq_length;
    rows.emplace_back(batch.ordinals[static_cast<std::size_t>(row)],
                      std::vector<std::int32_t>(first, first + batch.seq_length));
  }
}

TEST(LoaderTest, AStepIsTheSameRowsOnEveryLayout) {
  const SampleSource source = source_of(memory_documents(texts()));
  for (const std::int64_t micro_size : {1, 2, 4}) {
    for (const std::int64_t data : {1, 2, 3}) {
      const BatchPlan plan(
          {.global_size = 48, .ramp_samples = 72, .ramp_start = 24, .ramp_increment = 24});
      for (std::int64_t step = 0; step < 9; step += 4) {
        std::vector<std::pair<std::int64_t, std::vector<std::int32_t>>> rows;
        std::vector<std::vector<Batch>> replicas;
        for (std::int64_t rank = 0; rank < data; ++rank) {
          Loader loader(
              source, plan,
              {.microbatch = {.micro_size = micro_size, .data_rank = rank, .data_degree = data}},
              step);
          replicas.push_back(loader.next_step());
        }
        // Microbatch by microbatch, over the replicas: the order of the run's stream.
        for (std::size_t m = 0; m < replicas[0].size(); ++m) {
          for (const std::vector<Batch>& batches : replicas) append_rows(batches[m], rows);
        }
        const StepRows expected = plan.rows(step);
        ASSERT_EQ(static_cast<std::int64_t>(rows.size()), expected.global_size);
        for (std::size_t i = 0; i < rows.size(); ++i) {
          const std::int64_t ordinal = expected.first_ordinal + static_cast<std::int64_t>(i);
          ASSERT_EQ(rows[i].first, ordinal);
          ASSERT_EQ(rows[i].second, source.row(ordinal).tokens);
        }
      }
    }
  }
}

TEST(LoaderTest, SeeksAnywhereAtOnce) {
  const SampleSource source = source_of(memory_documents(texts()));
  Loader loader(source, BatchPlan({.global_size = 4}), {.microbatch = {.micro_size = 2}});
  loader.next_step();
  for (const std::int64_t step :
       {std::int64_t{7}, std::int64_t{0}, std::int64_t{250'000'000'000}}) {
    loader.seek(step);
    EXPECT_EQ(loader.step(), step);
    const std::vector<Batch> batches = loader.next_step();
    ASSERT_EQ(batches.size(), 2U);
    EXPECT_EQ(batches[1].ordinals, std::vector<std::int64_t>({4 * step + 2, 4 * step + 3}));
    EXPECT_EQ(batches[0].num_targets() > 0, true);
  }
}

TEST(LoaderTest, PrefetchChangesNothing) {
  const SampleSource source = source_of(memory_documents(texts()));
  Loader one(source, BatchPlan({.global_size = 6}), {.prefetch = 1});
  Loader many(source, BatchPlan({.global_size = 6}), {.prefetch = 64});
  Loader few_bytes(source, BatchPlan({.global_size = 6}), {.prefetch = 64, .max_bytes = 1});
  for (int step = 0; step < 5; ++step) {
    const std::vector<Batch> expected = one.next_step();
    for (Loader* loader : {&many, &few_bytes}) {
      const std::vector<Batch> batches = loader->next_step();
      ASSERT_EQ(batches.size(), expected.size());
      for (std::size_t m = 0; m < batches.size(); ++m) {
        ASSERT_EQ(batches[m].tokens, expected[m].tokens);
      }
    }
  }
}

// A row is one read. The loader's reads once there are `expected`, and a while in which it must not
// go on; what it has reached when it never gets there.
int reads_at_rest(const FaultyDocuments& watched, int expected) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (watched.reads() < expected && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return watched.reads();
}

TEST(LoaderTest, ReadsAheadAsFarAsAskedAndNoFurther) {
  auto documents = std::make_unique<const FaultyDocuments>(1 << 30, std::chrono::milliseconds(0));
  const FaultyDocuments& watched = *documents;
  const SampleSource source = source_of(std::move(documents));
  Loader loader(source, BatchPlan({.global_size = 1}), {.prefetch = 3});
  EXPECT_EQ(reads_at_rest(watched, 4), 4) << "three that are ready and one that waits for room";
  loader.next_step();
  EXPECT_EQ(reads_at_rest(watched, 5), 5) << "one more for the one that was taken";
}

TEST(LoaderTest, ReadsAheadWithinItsBytes) {
  struct Case {
    double batches;  // That the bytes are enough for.
    int reads;
  };
  for (const Case& bound : {Case{2, 3}, Case{2.9, 3}, Case{3, 4}, Case{0.001, 2}}) {
    auto documents = std::make_unique<const FaultyDocuments>(1 << 30, std::chrono::milliseconds(0));
    const FaultyDocuments& watched = *documents;
    const SampleSource source = source_of(std::move(documents));
    const auto bytes = static_cast<double>(num_bytes(source.row(0)));
    const int before = watched.reads();
    const Loader loader(
        source, BatchPlan({.global_size = 1}),
        {.prefetch = 64, .max_bytes = static_cast<std::int64_t>(bound.batches * bytes)});
    EXPECT_EQ(reads_at_rest(watched, before + bound.reads), before + bound.reads)
        << bound.batches << " batches: those that are ready and one that waits for room";
  }
}

TEST(LoaderTest, AnErrorOfTheThreadIsThrownAtItsStep) {
  const SampleSource source =
      source_of(std::make_unique<const FaultyDocuments>(3, std::chrono::milliseconds(0)));
  Loader loader(source, BatchPlan({.global_size = 1}), {});
  for (int step = 0; step < 3; ++step) EXPECT_EQ(loader.next_step().size(), 1U);
  for (int again = 0; again < 2; ++again) {
    try {
      loader.next_step();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kIo);
      EXPECT_EQ(error.problem(), "the disk is gone");
    }
  }
}

TEST(LoaderTest, CountsTheSecondsItWaits) {
  const SampleSource source =
      source_of(std::make_unique<const FaultyDocuments>(1 << 30, std::chrono::milliseconds(20)));
  Loader loader(source, BatchPlan({.global_size = 2}), {.prefetch = 1});
  loader.next_step();
  EXPECT_GT(loader.wait_seconds(), 0.02);
  EXPECT_GE(loader.counts().rows, 2);
}

TEST(LoaderTest, StopsWhileTheThreadIsAtWork) {
  const SampleSource source =
      source_of(std::make_unique<const FaultyDocuments>(1 << 30, std::chrono::milliseconds(1)));
  for (int i = 0; i < 50; ++i) {
    Loader loader(source, BatchPlan({.global_size = 1}), {.prefetch = 2});
    if (i % 2 == 0) loader.next_step();
  }
}

TEST(LoaderTest, RefusesBatchesThatCannotBeCut) {
  const SampleSource source = source_of(memory_documents(texts()));
  Loader loader(source, BatchPlan({.global_size = 6}), {.microbatch = {.micro_size = 4}});
  try {
    loader.next_step();
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
  }
  EXPECT_THROW(Loader(source, BatchPlan({.global_size = 6}), {.prefetch = 0}), Error);
}

}  // namespace
}  // namespace cloze
