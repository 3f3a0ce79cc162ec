// Draws blanks: spans placed as in THUDM/GLM, whole sentences, or a document's end.
#include "data/span_sampling.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cloze {

namespace {

// Draws of one piece's spans before the form that always succeeds. Below 256: they share the
// key's site with the attempts of the row.
constexpr std::uint32_t kPieceAttempts = 64;

// A piece has 2^18 blocks of a row's numbers to itself.
constexpr std::uint32_t kPieceBits = 18;

RandomStream stream_of(const SampleKey& key, RandomDomain domain, std::uint32_t piece_attempt) {
  const RandomKey random = {.seed = key.seed,
                            .domain = domain,
                            .layer = key.piece >> kPieceBits,
                            .site = (key.attempt << 8) | piece_attempt,
                            .ordinal = key.ordinal};
  const std::uint64_t piece = key.piece & ((1U << kPieceBits) - 1);
  return RandomStream(random, piece << kPieceBits);
}

void shuffle(RandomStream& random, std::span<std::int32_t> values) {
  for (std::size_t left = values.size(); left > 1; --left) {
    std::swap(values[left - 1], values[random.below(static_cast<std::uint32_t>(left))]);
  }
}

}  // namespace

BlankSampler::BlankSampler(const ObjectiveOptions& options, std::int32_t eos,
                           const SentenceEnds& sentence_ends)
    : options_(options),
      eos_(eos),
      sentence_ends_(sentence_ends),
      lengths_(span_lengths(options)) {}

void BlankSampler::draw(std::span<const std::int32_t> ids, Objective objective,
                        const SampleKey& key, std::vector<Blank>& blanks) {
  if (ids.size() < 2) return;
  const auto length = static_cast<std::int64_t>(ids.size());
  if (objective == Objective::kMask) draw_spans(length, key, blanks);
  if (objective == Objective::kSentence) draw_sentences(ids, key, blanks);
  if (objective == Objective::kDocument) draw_document(length, key, blanks);
}

void BlankSampler::draw_order(const SampleKey& key, std::int64_t count,
                              std::vector<std::int32_t>& order) {
  order.resize(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  RandomStream random = stream_of(key, RandomDomain::kSpanOrder, 0);
  shuffle(random, order);
}

void BlankSampler::draw_spans(std::int64_t length, const SampleKey& key,
                              std::vector<Blank>& blanks) {
  const std::int64_t hidden = tokens_of_share(options_.mask_ratio, length);
  for (std::uint32_t attempt = 0; attempt < kPieceAttempts; ++attempt) {
    RandomStream random = stream_of(key, RandomDomain::kSpans, attempt);
    if (try_spans(length, hidden, random, blanks)) return;
  }
  // One span of just the share.
  RandomStream random = stream_of(key, RandomDomain::kSpans, kPieceAttempts);
  const auto only = static_cast<std::int32_t>(std::min(hidden, length - 1));
  const auto places = static_cast<std::uint32_t>(length - only + 1);
  blanks.push_back({static_cast<std::int32_t>(random.below(places)), only});
}

bool BlankSampler::try_spans(std::int64_t length, std::int64_t hidden_least, RandomStream& random,
                             std::vector<Blank>& blanks) {
  drawn_.clear();
  std::int64_t hidden = 0;
  while (hidden < hidden_least) {
    const std::uint64_t draw = random.next();
    std::size_t index = 0;
    while (draw >= lengths_.thresholds[index]) ++index;
    drawn_.push_back(static_cast<std::int32_t>(index + 1));
    hidden += static_cast<std::int64_t>(index + 1);
  }
  const auto count = static_cast<std::int64_t>(drawn_.size());
  if (hidden + count > length) return false;  // No room for a token between spans, and one more.

  // The last length drawn is longer in the mean, for it is the one that crossed the share.
  shuffle(random, drawn_);
  // The visible tokens, less one between spans, are dealt out: place i of them lie before span i.
  const auto places = static_cast<std::uint32_t>(length - hidden - (count - 1) + 1);
  places_.resize(drawn_.size());
  for (std::int32_t& place : places_) place = static_cast<std::int32_t>(random.below(places));
  std::ranges::sort(places_);
  std::int32_t before = 0;
  for (std::size_t i = 0; i < drawn_.size(); ++i) {
    blanks.push_back({places_[i] + before, drawn_[i]});
    before += drawn_[i] + 1;
  }
  return true;
}

void BlankSampler::draw_sentences(std::span<const std::int32_t> ids, const SampleKey& key,
                                  std::vector<Blank>& blanks) {
  sentences_.clear();
  std::int32_t first = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool last = i + 1 == ids.size();
    // What ends a sentence belongs to it whole: "?!", ".\n", and the eos after the last.
    const bool ends = sentence_ends_.ends(ids[i]) && !last && !sentence_ends_.ends(ids[i + 1]) &&
                      ids[i + 1] != eos_;
    if (!ends && !last) continue;
    const auto end = static_cast<std::int32_t>(i + 1);
    sentences_.push_back({first, end - first});
    first = end;
  }
  RandomStream random = stream_of(key, RandomDomain::kSpans, 0);
  const std::int64_t hidden_least =
      tokens_of_share(options_.sentence_ratio, static_cast<std::int64_t>(ids.size()));
  const std::size_t begin = blanks.size();
  std::int64_t hidden = 0;
  for (std::size_t taken = 0; hidden < hidden_least; ++taken) {
    const auto left = static_cast<std::uint32_t>(sentences_.size() - taken);
    std::swap(sentences_[taken], sentences_[taken + random.below(left)]);
    blanks.push_back(sentences_[taken]);
    hidden += sentences_[taken].length;
  }
  std::ranges::sort(blanks.begin() + static_cast<std::ptrdiff_t>(begin), blanks.end(), {},
                    &Blank::first);
}

void BlankSampler::draw_document(std::int64_t length, const SampleKey& key,
                                 std::vector<Blank>& blanks) const {
  const std::int64_t least =
      std::clamp<std::int64_t>(tokens_of_share(options_.document_min_ratio, length), 1, length - 1);
  RandomStream random = stream_of(key, RandomDomain::kSpans, 0);
  const auto hidden = static_cast<std::int32_t>(
      least + random.below(static_cast<std::uint32_t>(length - 1 - least + 1)));
  blanks.push_back({static_cast<std::int32_t>(length) - hidden, hidden});
}

}  // namespace cloze
