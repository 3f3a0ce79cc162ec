// From an ordinal to source, epoch and window, and the fingerprint of all that.
#include "data/sample_source.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "data/batch_builder.h"
#include "data/content_digest.h"
#include "data/permutation.h"
#include "parallel/base/check.h"

namespace cloze {

namespace {

// Changes whenever the same inputs would give other rows.
constexpr int kAlgorithmVersion = 1;

std::vector<double> weights_of(const std::vector<WeightedDocuments>& sources) {
  std::vector<double> weights;
  weights.reserve(sources.size());
  for (const WeightedDocuments& source : sources) weights.push_back(source.weight);
  return weights;
}

std::string bits_of(double value) { return str(std::hex, std::bit_cast<std::uint64_t>(value)); }

}  // namespace

SampleSource::SampleSource(RowOptions options, std::vector<WeightedDocuments> sources)
    : options_(std::make_unique<const RowOptions>(std::move(options))),
      window_length_(cloze::window_length(options_->objective, options_->seq_length)),
      mixture_(weights_of(sources)),
      weights_(weights_of(sources)) {
  check_objective_options(options_->objective);
  CLOZE_CHECK(options_->special.eos >= 0, "the eos of the samples is not set",
              "take it from the tokenizer");
  streams_.reserve(sources.size());
  for (WeightedDocuments& source : sources) {
    streams_.emplace_back(std::move(source.documents), options_->special.eos);
  }
}

const TokenStream& SampleSource::stream(std::int64_t source) const {
  return streams_.at(static_cast<std::size_t>(source));
}

std::int64_t SampleSource::num_windows(std::int64_t source) const {
  return (stream(source).num_tokens() + window_length_ - 1) / window_length_;
}

std::int64_t SampleSource::largest_id() const {
  const SpecialTokens& special = options_->special;
  std::int64_t largest = std::max({special.eos, special.mask, special.sentence_mask,
                                   special.document_mask, special.sop, special.eop});
  for (const TokenStream& stream : streams_) {
    largest = std::max(largest, stream.documents().largest_id());
  }
  return largest;
}

RowPlace SampleSource::place(std::int64_t ordinal) const {
  CLOZE_CHECK(ordinal >= 0, str("row ", ordinal), "count rows from 0");
  const MixturePlace mixed = mixture_.place(ordinal);
  const std::int64_t windows = num_windows(mixed.source);
  RowPlace place = {.source = mixed.source, .epoch = mixed.position / windows};
  const Permutation permutation(windows, {.seed = options_->seed,
                                          .domain = RandomDomain::kPermutation,
                                          .site = static_cast<std::uint32_t>(place.source),
                                          .ordinal = static_cast<std::uint64_t>(place.epoch)});
  place.window = permutation(mixed.position % windows);
  place.first = place.window * window_length_;
  place.length = std::min(window_length_, stream(place.source).num_tokens() - place.first);
  return place;
}

void SampleSource::read_window(std::int64_t ordinal, std::vector<std::int32_t>& ids) const {
  const RowPlace where = place(ordinal);
  const TokenStream& tokens = stream(where.source);
  const std::int64_t extra =
      options_->objective.causal && where.first + where.length < tokens.num_tokens() ? 1 : 0;
  ids.resize(static_cast<std::size_t>(where.length + extra));
  tokens.read(where.first, ids);
}

Batch SampleSource::row(std::int64_t ordinal) const {
  return BatchBuilder(*this).build(ordinal, 1);
}

std::string SampleSource::fingerprint() const {
  const ObjectiveOptions& objective = options_->objective;
  const SpecialTokens& special = options_->special;
  std::string text = str("samples ", kAlgorithmVersion, "\nseq_length ", options_->seq_length,
                         "\ncausal ", objective.causal, "\n");
  if (!objective.causal) {
    for (const double value : {objective.mask_ratio, objective.span_mean, objective.sentence_ratio,
                               objective.document_min_ratio, objective.span_share,
                               objective.sentence_share, objective.document_share}) {
      text += bits_of(value) + "\n";
    }
    text +=
        str("span_max ", objective.span_max, "\nspecial ", special.mask, " ", special.sentence_mask,
            " ", special.document_mask, " ", special.sop, " ", special.eop, "\n");
    for (const std::uint64_t word : options_->sentence_ends.words()) {
      text += str(std::hex, word, " ");
    }
  }
  text += str("\neos ", special.eos, "\n");
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    text += str("source ", bits_of(weights_[i]), " ", streams_[i].documents().fingerprint(), "\n");
  }
  return hex_of(digest_of(text));
}

}  // namespace cloze
