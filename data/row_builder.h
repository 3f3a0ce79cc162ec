// From a window of tokens to a row of a batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/batch.h"
#include "data/objective_options.h"
#include "data/sample.h"
#include "data/span_sampling.h"
#include "data/special_tokens.h"

namespace cloze {

struct RowOptions {
  ObjectiveOptions objective = {};
  SpecialTokens special = {};
  SentenceEnds sentence_ends = {};
  std::int64_t seq_length = 0;  // Tokens of a row.
  std::uint64_t seed = 0;
};

// What became of the windows so far.
struct RowCounts {
  std::int64_t rows = 0;
  std::int64_t pieces = 0;
  std::int64_t tokens = 0;   // Of the windows.
  std::int64_t padding = 0;  // Tokens of the rows.
  std::int64_t targets = 0;
  std::int64_t redrawn_rows = 0;          // The first draw did not fit the row.
  std::int64_t trimmed_rows = 0;          // No draw fitted; blanks were left out at random.
  std::int64_t pieces_without_blank = 0;  // Part A only.

  bool operator==(const RowCounts&) const = default;
  RowCounts& operator+=(const RowCounts& other);
  friend RowCounts operator-(const RowCounts& a, const RowCounts& b);
};

// Writes tokens [first, last) of a batch that belong to no sample: they see nothing (lo = hi) and
// carry no loss.
void write_padding(Batch& batch, std::int64_t first, std::int64_t last, std::int32_t pad,
                   Objective objective);

// The objective of a row, by the shares.
Objective draw_objective(const ObjectiveOptions& options, std::uint64_t seed, std::int64_t ordinal);

// Reuses its buffers; one per thread.
class RowBuilder {
 public:
  explicit RowBuilder(const RowOptions& options);  // Borrowed for the builder's life.

  // Cuts `window` after each eos, makes each piece a sample and writes them, then padding, into
  // tokens [row * seq_length, (row + 1) * seq_length) of the batch. For causal, `window` may hold
  // one token more: the target of the row's last.
  void build(std::span<const std::int32_t> window, std::int64_t ordinal, Batch& batch,
             std::int64_t row);

  // The samples of the row built last.
  const std::vector<SampleBounds>& bounds() const { return bounds_; }
  const RowCounts& counts() const { return counts_; }

 private:
  void build_blank_infilling(std::span<const std::int32_t> window, Batch& batch,
                             std::int64_t first);
  void build_causal(std::span<const std::int32_t> window, Batch& batch, std::int64_t first);
  void cut(std::span<const std::int32_t> window);
  void draw(std::span<const std::int32_t> window, std::uint32_t attempt);
  void trim(std::int64_t num_kept);

  const RowOptions& options_;
  BlankSampler sampler_;
  RowCounts counts_;
  std::int64_t ordinal_ = 0;
  Objective objective_ = Objective::kMask;
  std::vector<std::int64_t> piece_starts_;  // [pieces + 1], in the window.
  std::vector<Blank> blanks_;               // Of all pieces, relative to each.
  std::vector<std::int64_t> blank_starts_;  // [pieces + 1], in blanks_.
  std::vector<std::int32_t> order_;
  std::vector<SampleBounds> bounds_;
};

}  // namespace cloze
