// How fast samples are made: from documents in memory in one thread, and as training takes them, by
// the loader's thread from shards on the disk.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/batch_builder.h"
#include "data/loader.h"
#include "data/shard_writer.h"
#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

constexpr std::int32_t kVocabSize = 50010;
constexpr std::int64_t kRowsAtOnce = 8;

// What a build for use must reach; one for finding faults is slower and is only run.
constexpr double kLeastTokensPerSecond = 20e6;
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool kFast = true;
#else
constexpr bool kFast = false;
#endif

// Of all threads, so a loader's queue and what its caller does count too.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<std::vector<std::int32_t>> texts() {
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int32_t d = 0; d < 2000; ++d) {
    std::vector<std::int32_t>& ids = documents.emplace_back();
    for (std::int32_t j = 0; j < 100 + (d * 7919 % 1800); ++j) ids.push_back(10 + (j * 31 % 50000));
    ids.push_back(kSpecial.eos);
  }
  return documents;
}

std::unique_ptr<const Documents> write_shards(const std::filesystem::path& prefix) {
  ShardWriter writer(prefix, {.tokenizer_digest = "none", .size = kVocabSize, .eos = kSpecial.eos});
  for (const std::vector<std::int32_t>& document : texts()) writer.append(document);
  writer.commit();
  return open_shard_documents(prefix);
}

SampleSource source_of(std::unique_ptr<const Documents> documents,
                       const ObjectiveOptions& objective, std::int64_t seq_length) {
  std::vector<std::int32_t> ends;
  for (std::int32_t id = 10; id < kVocabSize; id += 20) ends.push_back(id);
  std::vector<WeightedDocuments> sources;
  sources.push_back({std::move(documents), 1});
  return {{.objective = objective,
           .special = kSpecial,
           .sentence_ends = SentenceEnds(kVocabSize, ends),
           .seq_length = seq_length,
           .seed = 3},
          std::move(sources)};
}

struct Case {
  std::string name;
  ObjectiveOptions objective;
};

std::vector<Case> cases() {
  return {
      {"mixed", {}},
      {"mask", {.span_share = 1, .sentence_share = 0, .document_share = 0}},
      {"causal", {.causal = true}},
  };
}

// Calls `work`, which makes `tokens`, for a while. Prints and judges the tokens a second of CPU
// time.
void measure(const std::string& what, std::int64_t tokens, const std::function<void()>& work) {
  work();  // Pages come in, buffers grow.
  const double begin = cpu_seconds();
  std::int64_t made = 0;
  double seconds = 0;
  while (seconds < 0.15) {
    work();
    made += tokens;
    seconds = cpu_seconds() - begin;
  }
  const double speed = static_cast<double>(made) / seconds;
  std::cout << what << ": " << speed / 1e6 << " M tokens/s of CPU time\n";
  if (kFast) {
    EXPECT_GE(speed, kLeastTokensPerSecond) << what;
  }
}

TEST(SamplerBenchmark, TokensPerSecondOfOneThread) {
  for (const std::int64_t seq_length : {512, 2048}) {
    for (const Case& kind : cases()) {
      const SampleSource source = source_of(memory_documents(texts()), kind.objective, seq_length);
      BatchBuilder builder(source);
      Batch batch;
      std::int64_t ordinal = 0;
      measure(str(kind.name, ", rows of ", seq_length, " in memory"), kRowsAtOnce * seq_length,
              [&] {
                builder.build(ordinal, kRowsAtOnce, batch);
                ordinal += kRowsAtOnce;
              });
    }
  }
}

TEST(SamplerBenchmark, TokensPerSecondOfTheLoaderOverShards) {
  const ScratchFolder folder;
  for (const std::int64_t seq_length : {512, 2048}) {
    for (const Case& kind : cases()) {
      const SampleSource source =
          source_of(write_shards(folder / "shards"), kind.objective, seq_length);
      Loader loader(source, BatchPlan({.global_size = 4 * kRowsAtOnce}),
                    {.microbatch = {.micro_size = kRowsAtOnce}});
      measure(str(kind.name, ", rows of ", seq_length, " by the loader, from shards"),
              4 * kRowsAtOnce * seq_length, [&] { loader.next_step(); });
    }
  }
}

}  // namespace
}  // namespace cloze
