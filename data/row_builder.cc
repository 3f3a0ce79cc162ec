// Cuts a window into pieces, draws until the row fits, writes samples and padding.
#include "data/row_builder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "data/blank_infilling.h"
#include "data/causal.h"
#include "parallel/base/check.h"

namespace cloze {

namespace {

// Draws of a row before the form that always fits. The attempt is part of the key.
constexpr std::uint32_t kRowAttempts = 16;

}  // namespace

void write_padding(Batch& batch, std::int64_t first, std::int64_t last, std::int32_t pad,
                   Objective objective) {
  for (std::int64_t i = first; i < last; ++i) {
    const auto at = static_cast<std::size_t>(i);
    batch.tokens[at] = pad;
    batch.targets[at] = 0;
    batch.loss_mask[at] = 0;
    batch.position[at] = 0;
    batch.block_position[at] = 0;
    batch.rotary_position[at] = 0;
    batch.lo[at] = static_cast<std::int32_t>(i);
    batch.hi[at] = static_cast<std::int32_t>(i);
    batch.objective[at] = static_cast<std::uint8_t>(objective);
  }
}

RowCounts& RowCounts::operator+=(const RowCounts& other) {
  rows += other.rows;
  pieces += other.pieces;
  tokens += other.tokens;
  padding += other.padding;
  targets += other.targets;
  redrawn_rows += other.redrawn_rows;
  trimmed_rows += other.trimmed_rows;
  pieces_without_blank += other.pieces_without_blank;
  return *this;
}

RowCounts operator-(const RowCounts& a, const RowCounts& b) {
  return {.rows = a.rows - b.rows,
          .pieces = a.pieces - b.pieces,
          .tokens = a.tokens - b.tokens,
          .padding = a.padding - b.padding,
          .targets = a.targets - b.targets,
          .redrawn_rows = a.redrawn_rows - b.redrawn_rows,
          .trimmed_rows = a.trimmed_rows - b.trimmed_rows,
          .pieces_without_blank = a.pieces_without_blank - b.pieces_without_blank};
}

Objective draw_objective(const ObjectiveOptions& options, std::uint64_t seed,
                         std::int64_t ordinal) {
  if (options.causal) return Objective::kCausal;
  const RandomKey key = {.seed = seed,
                         .domain = RandomDomain::kObjective,
                         .ordinal = static_cast<std::uint64_t>(ordinal)};
  const double draw = random_uniform(key, 0);
  if (draw < options.span_share) return Objective::kMask;
  // Rounding of the shares' sum must not let in an objective whose share is 0.
  const bool no_document = options.document_share <= 0;
  if (draw < options.span_share + options.sentence_share || no_document) {
    return options.sentence_share > 0 ? Objective::kSentence : Objective::kMask;
  }
  return Objective::kDocument;
}

RowBuilder::RowBuilder(const RowOptions& options)
    : options_(options), sampler_(options.objective, options.special.eos, options.sentence_ends) {}

void RowBuilder::build(std::span<const std::int32_t> window, std::int64_t ordinal, Batch& batch,
                       std::int64_t row) {
  ordinal_ = ordinal;
  objective_ = draw_objective(options_.objective, options_.seed, ordinal);
  bounds_.clear();
  const std::int64_t first = row * options_.seq_length;
  if (objective_ == Objective::kCausal) {
    build_causal(window, batch, first);
  } else {
    build_blank_infilling(window, batch, first);
  }
  const std::int64_t used = bounds_.empty() ? first : bounds_.back().first + bounds_.back().length;
  const std::int64_t last = first + options_.seq_length;
  write_padding(batch, used, last, options_.special.eos, objective_);
  ++counts_.rows;
  counts_.pieces += static_cast<std::int64_t>(bounds_.size());
  counts_.padding += last - used;
}

void RowBuilder::cut(std::span<const std::int32_t> window) {
  piece_starts_.assign(1, 0);
  const auto length = static_cast<std::int64_t>(window.size());
  for (std::int64_t i = 0; i < length; ++i) {
    if (window[static_cast<std::size_t>(i)] == options_.special.eos || i + 1 == length) {
      piece_starts_.push_back(i + 1);
    }
  }
}

void RowBuilder::draw(std::span<const std::int32_t> window, std::uint32_t attempt) {
  blanks_.clear();
  blank_starts_.assign(1, 0);
  for (std::size_t piece = 0; piece + 1 < piece_starts_.size(); ++piece) {
    const auto begin = static_cast<std::size_t>(piece_starts_[piece]);
    const auto end = static_cast<std::size_t>(piece_starts_[piece + 1]);
    const SampleKey key = {.seed = options_.seed,
                           .ordinal = static_cast<std::uint64_t>(ordinal_),
                           .piece = static_cast<std::uint32_t>(piece),
                           .attempt = attempt};
    sampler_.draw(window.subspan(begin, end - begin), objective_, key, blanks_);
    blank_starts_.push_back(static_cast<std::int64_t>(blanks_.size()));
  }
}

// Keeps `num_kept` of the blanks, each as likely as any other.
void RowBuilder::trim(std::int64_t num_kept) {
  const SampleKey key = {.seed = options_.seed,
                         .ordinal = static_cast<std::uint64_t>(ordinal_),
                         .piece = 0,
                         .attempt = kRowAttempts};
  BlankSampler::draw_order(key, static_cast<std::int64_t>(blanks_.size()), order_);
  // order_[i] is the rank of blank i: the lowest ranks stay.
  std::size_t kept = 0;
  std::size_t begin = 0;
  for (std::size_t piece = 0; piece + 1 < blank_starts_.size(); ++piece) {
    const auto end = static_cast<std::size_t>(blank_starts_[piece + 1]);
    for (std::size_t i = begin; i < end; ++i) {
      if (order_[i] < num_kept) blanks_[kept++] = blanks_[i];
    }
    begin = end;
    blank_starts_[piece + 1] = static_cast<std::int64_t>(kept);
  }
  blanks_.resize(kept);
}

void RowBuilder::build_blank_infilling(std::span<const std::int32_t> window, Batch& batch,
                                       std::int64_t first) {
  const auto length = static_cast<std::int64_t>(window.size());
  const std::int64_t most_blanks = (options_.seq_length - length) / 2;
  CLOZE_CHECK(length <= options_.seq_length, str("a window of ", length, " tokens"), "report this");
  cut(window);
  std::uint32_t attempt = 0;
  for (;; ++attempt) {
    draw(window, attempt);
    if (static_cast<std::int64_t>(blanks_.size()) <= most_blanks) break;
    if (attempt + 1 == kRowAttempts) {
      trim(most_blanks);
      ++counts_.trimmed_rows;
      break;
    }
  }
  if (attempt > 0) ++counts_.redrawn_rows;

  for (std::size_t piece = 0; piece + 1 < piece_starts_.size(); ++piece) {
    const auto begin = static_cast<std::size_t>(piece_starts_[piece]);
    const std::span<const std::int32_t> ids =
        window.subspan(begin, static_cast<std::size_t>(piece_starts_[piece + 1]) - begin);
    const std::span<Blank> blanks = std::span<Blank>(blanks_).subspan(
        static_cast<std::size_t>(blank_starts_[piece]),
        static_cast<std::size_t>(blank_starts_[piece + 1] - blank_starts_[piece]));
    const auto num_blanks = static_cast<std::int64_t>(blanks.size());
    const SampleKey key = {.seed = options_.seed,
                           .ordinal = static_cast<std::uint64_t>(ordinal_),
                           .piece = static_cast<std::uint32_t>(piece),
                           .attempt = attempt};
    BlankSampler::draw_order(key, num_blanks, order_);
    const std::int64_t separator =
        write_blank_infilling(ids, blanks, order_, objective_, options_.special, batch, first);
    const auto num_ids = static_cast<std::int64_t>(ids.size());
    const std::int64_t written = corrupted_length(num_ids, num_blanks);
    bounds_.push_back({.ordinal = ordinal_,
                       .piece = static_cast<std::int64_t>(piece),
                       .first = first,
                       .length = written,
                       .separator = separator,
                       .objective = objective_});
    first += written;
    counts_.targets += written - separator;
    if (num_blanks == 0) ++counts_.pieces_without_blank;
  }
  counts_.tokens += length;
}

void RowBuilder::build_causal(std::span<const std::int32_t> window, Batch& batch,
                              std::int64_t first) {
  const std::size_t seq_length = static_cast<std::size_t>(options_.seq_length);
  const std::span<const std::int32_t> inputs = window.first(std::min(window.size(), seq_length));
  cut(inputs);
  for (std::size_t piece = 0; piece + 1 < piece_starts_.size(); ++piece) {
    const auto begin = static_cast<std::size_t>(piece_starts_[piece]);
    const auto end = static_cast<std::size_t>(piece_starts_[piece + 1]);
    std::optional<std::int32_t> next;
    if (window[end - 1] != options_.special.eos && end < window.size()) next = window[end];
    write_causal(window.subspan(begin, end - begin), next, batch,
                 first + static_cast<std::int64_t>(begin));
    bounds_.push_back({.ordinal = ordinal_,
                       .piece = static_cast<std::int64_t>(piece),
                       .first = first + static_cast<std::int64_t>(begin),
                       .length = static_cast<std::int64_t>(end - begin),
                       .separator = 0,
                       .objective = objective_});
    counts_.targets += static_cast<std::int64_t>(end - begin) - (next ? 0 : 1);
  }
  counts_.tokens += static_cast<std::int64_t>(inputs.size());
}

}  // namespace cloze
