#include "trainer/bench/synthetic_samples.h"

#include <utility>
#include <vector>

#include "data/objective_options.h"
#include "data/synthetic_documents.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::int32_t kSpecialTokens = 6;
constexpr std::int32_t kIdsOfASentence = 20;

}  // namespace

SampleSource synthetic_samples(const config::Run& run, std::int64_t tokens) {
  const auto vocab = static_cast<std::int32_t>(run.model().vocab_size());
  const std::int32_t first_special = vocab - kSpecialTokens;
  CLOZE_REQUIRE(first_special > kIdsOfASentence, ExitCode::kUsage,
                str("model.vocab_size is ", vocab, ", too small for made-up text"),
                str("set it to ", kSpecialTokens + kIdsOfASentence + 1, " or more"));
  std::vector<std::int32_t> ends;
  for (std::int32_t id = 0; id < first_special; id += kIdsOfASentence) ends.push_back(id);
  RowOptions options{.objective = objective_options(run.objective()),
                     .special = {.eos = first_special,
                                 .mask = first_special + 1,
                                 .sentence_mask = first_special + 2,
                                 .document_mask = first_special + 3,
                                 .sop = first_special + 4,
                                 .eop = first_special + 5},
                     .sentence_ends = SentenceEnds(vocab, ends),
                     .seq_length = run.data().seq_length(),
                     .seed = run.run().seed()};
  std::vector<WeightedDocuments> sources;
  sources.push_back({synthetic_documents({.num_tokens = tokens,
                                          .document_tokens = tokens,
                                          .first_id = 0,
                                          .last_id = first_special,
                                          .eos = first_special,
                                          .seed = run.run().seed()}),
                     1});
  return {std::move(options), std::move(sources)};
}

}  // namespace cloze
