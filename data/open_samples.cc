// Opens what the data section names and checks that the parts fit each other.
#include "data/open_samples.h"

#include <string>
#include <utility>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {

namespace {

void check_source(const Documents& documents, const Tokenizer& tokenizer, std::int64_t vocab_size) {
  const std::string made_by = documents.tokenizer_digest();
  CLOZE_REQUIRE(made_by.empty() || made_by == tokenizer.digest(), ExitCode::kBadInput,
                str(documents.name(), " was prepared with another tokenizer (", made_by,
                    ", data.tokenizer is ", tokenizer.digest(), ")"),
                "point data.tokenizer at the tokenizer it was prepared with, or prepare it again");
  const std::int64_t largest = documents.largest_id();
  CLOZE_REQUIRE(largest < tokenizer.vocab_size(), ExitCode::kBadInput,
                str(documents.name(), " holds id ", largest, ", data.tokenizer has ids below ",
                    tokenizer.vocab_size(), " and model.vocab_size is ", vocab_size),
                "prepare the text again with data.tokenizer");
  CLOZE_REQUIRE(vocab_size == 0 || largest < vocab_size, ExitCode::kUsage,
                str(documents.name(), " holds id ", largest, ", but model.vocab_size is ",
                    vocab_size, " (data.tokenizer has ids below ", tokenizer.vocab_size(), ")"),
                str("set model.vocab_size to ", tokenizer.vocab_size(), " or more"));
}

}  // namespace

SampleSource open_samples(const config::Data& data, const config::Objective& objective, Split split,
                          std::uint64_t seed, std::int64_t vocab_size) {
  CLOZE_REQUIRE(data.has_tokenizer() && !data.tokenizer().empty(), ExitCode::kUsage,
                "data.tokenizer is not set", "give the folder that holds tokenizer.json");
  return open_samples(data, objective, split, seed, vocab_size, Tokenizer::load(data.tokenizer()));
}

SampleSource open_samples(const config::Data& data, const config::Objective& objective, Split split,
                          std::uint64_t seed, std::int64_t vocab_size, const Tokenizer& tokenizer) {
  const bool training = split == Split::kTrain;
  const auto& sections = training ? data.train() : data.validation();
  const char* key = training ? "data.train" : "data.validation";
  CLOZE_REQUIRE(!sections.empty(), ExitCode::kUsage, str(key, " names no source"),
                str("list at least one under ", key, ", such as - {path: data/text, weight: 1}"));
  CLOZE_REQUIRE(vocab_size == 0 || tokenizer.vocab_size() <= vocab_size, ExitCode::kUsage,
                str("model.vocab_size is ", vocab_size, ", but data.tokenizer has ids up to ",
                    tokenizer.vocab_size() - 1),
                str("set model.vocab_size to ", tokenizer.vocab_size(), " or more"));

  RowOptions options;
  options.objective = objective_options(objective);
  options.special = special_tokens(tokenizer, options.objective.causal);
  if (!options.objective.causal) options.sentence_ends = sentence_ends(tokenizer);
  options.seq_length = data.seq_length();
  options.seed = seed;

  std::vector<WeightedDocuments> sources;
  for (const config::Source& section : sections) {
    CLOZE_REQUIRE(section.has_path() && !section.path().empty(), ExitCode::kUsage,
                  str("a source of ", key, " has no path"),
                  "give the prefix of a shard pair (PREFIX.bin, PREFIX.idx)");
    sources.push_back({open_shard_documents(section.path()), section.weight()});
    check_source(*sources.back().documents, tokenizer, vocab_size);
  }
  return {std::move(options), std::move(sources)};
}

}  // namespace cloze
