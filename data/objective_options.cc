// Checks the shares and ratios, tabulates span lengths, and solves for the window length.
#include "data/objective_options.h"

#include <algorithm>
#include <cmath>

#include "parallel/base/check.h"

namespace cloze {

namespace {

void require_share(double value, const char* key) {
  CLOZE_REQUIRE(value >= 0 && value <= 1, ExitCode::kUsage,
                str("objective.", key, " is ", value, ", which is no share"),
                "give a number from 0 to 1");
}

void require_ratio(double value, const char* key) {
  CLOZE_REQUIRE(value > 0 && value < 1, ExitCode::kUsage,
                str("objective.", key, " is ", value, ": it would hide nothing, or all"),
                "give a number above 0 and below 1");
}

// Blanks that a window of `length` tokens has at most, but for rare draws.
std::int64_t most_blanks(const ObjectiveOptions& options, const SpanLengths& lengths,
                         std::int64_t length) {
  double most = static_cast<double>(length) / 128.0;  // One a document, of 128 tokens and more.
  if (options.sentence_share > 0) {
    const auto hidden = static_cast<double>(tokens_of_share(options.sentence_ratio, length));
    most = std::max(most, static_cast<double>(length) / 128.0 + hidden / 16.0);
  }
  if (options.span_share > 0) {
    // How many lengths it takes to reach a sum is close to normal (renewal theory).
    const auto hidden = static_cast<double>(tokens_of_share(options.mask_ratio, length));
    const double cube = lengths.mean * lengths.mean * lengths.mean;
    const double deviation = std::sqrt(hidden * lengths.variance / cube);
    most = std::max(most, hidden / lengths.mean + 3.0 * deviation);
  }
  return 1 + static_cast<std::int64_t>(most);
}

}  // namespace

ObjectiveOptions objective_options(const config::Objective& section) {
  ObjectiveOptions options;
  options.causal = section.kind() == config::Objective::causal;
  options.mask_ratio = section.mask_ratio();
  options.span_mean = section.span_mean();
  options.span_max = section.span_max();
  options.sentence_ratio = section.sentence_ratio();
  options.document_min_ratio = section.document_min_ratio();
  options.span_share = section.span_share();
  options.sentence_share = section.sentence_share();
  options.document_share = section.document_share();
  check_objective_options(options);
  return options;
}

void check_objective_options(const ObjectiveOptions& options) {
  if (options.causal) return;
  require_ratio(options.mask_ratio, "mask_ratio");
  require_ratio(options.sentence_ratio, "sentence_ratio");
  require_share(options.document_min_ratio, "document_min_ratio");
  require_share(options.span_share, "span_share");
  require_share(options.sentence_share, "sentence_share");
  require_share(options.document_share, "document_share");
  const double sum = options.span_share + options.sentence_share + options.document_share;
  CLOZE_REQUIRE(std::abs(sum - 1) < 1e-6, ExitCode::kUsage,
                str("objective.span_share, sentence_share and document_share sum to ", sum),
                "make them sum to 1");
  CLOZE_REQUIRE(options.span_mean > 0 && options.span_mean <= 1e4, ExitCode::kUsage,
                str("objective.span_mean is ", options.span_mean, " tokens"),
                "give a number above 0 and up to 10000");
  CLOZE_REQUIRE(options.span_max >= 1 && options.span_max <= 65536, ExitCode::kUsage,
                str("objective.span_max is ", options.span_max, " tokens"),
                "give a number from 1 to 65536");
  // Spans need an unmasked token between them: short ones cannot hide much.
  const double mean = span_lengths(options).mean;
  CLOZE_REQUIRE(options.mask_ratio * (1 + 1 / mean) <= 0.9, ExitCode::kUsage,
                str("objective.mask_ratio ", options.mask_ratio,
                    " leaves no room between spans of ", mean, " tokens in the mean"),
                str("choose a mask_ratio of at most ", 0.9 / (1 + 1 / mean)));
}

std::int64_t tokens_of_share(double ratio, std::int64_t length) {
  // 0.07 * 100 is 7.000000000000001: without the margin its ceiling would be 8.
  return static_cast<std::int64_t>(std::ceil((ratio * static_cast<double>(length)) - 1e-9));
}

SpanLengths span_lengths(const ObjectiveOptions& options) {
  // Weights relative to the largest: span_mean^k / k! itself overflows for long spans. Only
  // + - * / are used, so the thresholds are the same on every machine.
  const auto count = static_cast<std::size_t>(options.span_max);
  std::vector<double> weights(count);
  const std::size_t mode =
      std::clamp<std::size_t>(static_cast<std::size_t>(options.span_mean), 1, count) - 1;
  weights[mode] = 1;
  for (std::size_t i = mode; i + 1 < count; ++i) {
    weights[i + 1] = weights[i] * options.span_mean / static_cast<double>(i + 2);
  }
  for (std::size_t i = mode; i > 0; --i) {
    weights[i - 1] = weights[i] * static_cast<double>(i + 1) / options.span_mean;
  }
  double sum = 0;
  for (const double weight : weights) sum += weight;

  SpanLengths lengths;
  lengths.thresholds.resize(count);
  double cumulative = 0;
  double square = 0;
  for (std::size_t i = 0; i < count; ++i) {
    cumulative += weights[i];
    lengths.thresholds[i] = static_cast<std::uint64_t>(cumulative / sum * 0x1p32);
    const auto length = static_cast<double>(i + 1);
    lengths.mean += length * (weights[i] / sum);
    square += length * length * (weights[i] / sum);
  }
  lengths.thresholds.back() = std::uint64_t{1} << 32;
  lengths.variance = std::max(0.0, square - (lengths.mean * lengths.mean));
  return lengths;
}

std::int64_t window_length(const ObjectiveOptions& options, std::int64_t seq_length) {
  CLOZE_REQUIRE(seq_length >= 1 && seq_length <= (std::int64_t{1} << 24), ExitCode::kUsage,
                str("data.seq_length is ", seq_length), "give a number from 8 to 16777216");
  if (options.causal) return seq_length;
  const SpanLengths lengths = span_lengths(options);
  const auto fits = [&](std::int64_t length) {
    return length + (2 * most_blanks(options, lengths, length)) <= seq_length;
  };
  CLOZE_REQUIRE(fits(2), ExitCode::kUsage,
                str("data.seq_length ", seq_length, " is too short for a text with a blank"),
                "give a longer data.seq_length, 8 or more");
  // Both terms grow with the length, so the border is found by halving.
  std::int64_t good = 2;
  std::int64_t bad = seq_length;
  while (bad - good > 1) {
    const std::int64_t middle = good + ((bad - good) / 2);
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

std::string_view name_of(Objective objective) {
  switch (objective) {
    case Objective::kMask:
      return "mask";
    case Objective::kSentence:
      return "sentence";
    case Objective::kDocument:
      return "document";
    case Objective::kCausal:
      return "causal";
  }
  return "?";
}

}  // namespace cloze
