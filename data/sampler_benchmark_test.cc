// How fast samples are made from documents in memory, in one thread.
#include <gtest/gtest.h>

#include <ctime>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "data/batch_builder.h"

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

SampleSource source_of(const ObjectiveOptions& objective, std::int64_t seq_length) {
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int32_t d = 0; d < 2000; ++d) {
    std::vector<std::int32_t>& ids = documents.emplace_back();
    for (std::int32_t j = 0; j < 100 + (d * 7919 % 1800); ++j) ids.push_back(10 + (j * 31 % 50000));
    ids.push_back(kSpecial.eos);
  }
  std::vector<std::int32_t> ends;
  for (std::int32_t id = 10; id < 50010; id += 20) ends.push_back(id);
  std::vector<WeightedDocuments> sources;
  sources.push_back({memory_documents(documents), 1});
  return {{.objective = objective,
           .special = kSpecial,
           .sentence_ends = SentenceEnds(50010, ends),
           .seq_length = seq_length,
           .seed = 3},
          std::move(sources)};
}

TEST(SamplerBenchmark, TokensPerSecondOfOneThread) {
  struct Case {
    std::string name;
    ObjectiveOptions objective;
  };
  const std::vector<Case> cases = {
      {"mixed", {}},
      {"mask", {.span_share = 1, .sentence_share = 0, .document_share = 0}},
      {"causal", {.causal = true}},
  };
  for (const std::int64_t seq_length : {512, 2048}) {
    for (const Case& kind : cases) {
      const SampleSource source = source_of(kind.objective, seq_length);
      BatchBuilder builder(source);
      Batch batch;
      builder.build(0, 8, batch);
      const double begin = cpu_seconds();
      std::int64_t rows = 0;
      double seconds = 0;
      while (seconds < 0.15) {
        builder.build(rows, 8, batch);
        rows += 8;
        seconds = cpu_seconds() - begin;
      }
      std::cout << kind.name << ", rows of " << seq_length
                << " tokens: " << static_cast<double>(rows * seq_length) / seconds / 1e6
                << " M tokens/s of one thread\n";
      EXPECT_GT(rows, 0);
    }
  }
}

}  // namespace
}  // namespace cloze
