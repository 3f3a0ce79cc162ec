#include "trainer/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/random.h"

namespace cloze {
namespace {

struct Candidate {
  std::int32_t id;
  double weight;  // Of the scaled logit first, then its exponential.
};

// The likelier first; of equal ones the smaller id, so that the order is one.
bool is_before(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

}  // namespace

std::int32_t sample(std::span<const float> logits, const SamplingOptions& options,
                    std::uint64_t text, std::uint64_t index) {
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!std::isfinite(logits[id])) continue;
    candidates.push_back({static_cast<std::int32_t>(id), static_cast<double>(logits[id])});
  }
  CLOZE_REQUIRE(!candidates.empty(), ExitCode::kNumerics, "the model gives no finite logit",
                "the weights are damaged, or training went wrong: use another checkpoint");
  if (options.temperature == 0) {
    return std::min_element(candidates.begin(), candidates.end(), is_before)->id;
  }
  const auto keep = options.top_k > 0 ? std::min<std::size_t>(options.top_k, candidates.size())
                                      : candidates.size();
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(keep),
                    candidates.end(), is_before);
  candidates.resize(keep);
  const double largest = candidates.front().weight;
  double total = 0;
  for (Candidate& candidate : candidates) {
    candidate.weight = std::exp((candidate.weight - largest) / options.temperature);
    total += candidate.weight;
  }
  // The fewest of the likeliest that reach the share; always the first.
  double kept = 0;
  std::size_t count = 0;
  while (count < candidates.size() && (count == 0 || kept < options.top_p * total)) {
    kept += candidates[count++].weight;
  }
  const RandomKey key{.seed = options.seed, .domain = RandomDomain::kSampling, .ordinal = text};
  double left = random_uniform(key, index) * kept;
  for (std::size_t i = 0; i < count; ++i) {
    left -= candidates[i].weight;
    if (left < 0) return candidates[i].id;
  }
  return candidates[count - 1].id;
}

}  // namespace cloze
