// Which token comes next: the likeliest, or one drawn from what temperature, top-k and top-p leave
// (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020).
#pragma once

#include <cstdint>
#include <span>

namespace cloze {

struct SamplingOptions {
  double temperature = 0;  // 0: the likeliest token, the first of equal ones.
  std::int64_t top_k = 0;  // Only the k likeliest; 0: all.
  double top_p = 1;        // Only the likeliest that together reach this share.
  std::uint64_t seed = 0;
};

// The id for token `index` of text number `text`: the same for the same logits, options and
// numbers, whatever was drawn before. Temperature comes first, then top-k, then top-p. Logits that
// are not finite are never drawn; kNumerics when none is finite.
std::int32_t sample(std::span<const float> logits, const SamplingOptions& options,
                    std::uint64_t text, std::uint64_t index);

}  // namespace cloze
