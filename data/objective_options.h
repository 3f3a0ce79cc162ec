// What samples are made of: the objective section as plain numbers, and the window length that
// follows from it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "configs/schema/run.pb.h"
#include "data/batch.h"

namespace cloze {

struct ObjectiveOptions {
  bool causal = false;
  double mask_ratio = 0.15;         // [MASK]: least share of a piece's tokens that is hidden.
  double span_mean = 3;             // [MASK]: mean of the Poisson distribution of lengths.
  std::int64_t span_max = 39;       // [MASK]: longest span, tokens.
  double sentence_ratio = 0.15;     // [sMASK]: least share of a piece's tokens.
  double document_min_ratio = 0.5;  // [gMASK]: least share of a piece's tokens.
  double span_share = 0.5;          // Shares of the three objectives; they sum to 1.
  double sentence_share = 0.2;
  double document_share = 0.3;

  bool operator==(const ObjectiveOptions&) const = default;
};

// Checked: kUsage names the key that is out of range.
ObjectiveOptions objective_options(const config::Objective& section);
void check_objective_options(const ObjectiveOptions& options);

// The least number of tokens that is `ratio` of `length`: its ceiling, but for rounding errors.
std::int64_t tokens_of_share(double ratio, std::int64_t length);

// Lengths of [MASK] spans: Poisson(span_mean) on 1..span_max, normalised.
struct SpanLengths {
  // [span_max], of 2^32: a draw below thresholds[i] (and not below the one before) is i + 1 long.
  std::vector<std::uint64_t> thresholds;
  double mean = 0;      // Tokens.
  double variance = 0;  // Tokens squared.
};
SpanLengths span_lengths(const ObjectiveOptions& options);

// Tokens of a window: the largest length whose corrupted row fits seq_length but for rare draws
// (docs/objective.md has the formula). Causal: seq_length. kUsage when seq_length is too short.
std::int64_t window_length(const ObjectiveOptions& options, std::int64_t seq_length);

// "mask", "sentence", "document", "causal".
std::string_view name_of(Objective objective);

}  // namespace cloze
