// The rows of a benchmark: text made up from the run's seed, so that no data is opened.
#pragma once

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "data/sample_source.h"

namespace cloze {

constexpr std::int64_t kSyntheticTokens = 1'000'000'000'000;

// Rows as the run's objective makes them, of one document of `tokens`: no row of it is cut by a
// document end, so of `causal` every position is a target. The six last ids of the vocabulary stand
// for the special tokens, and one id in twenty ends a sentence. kUsage when the vocabulary is too
// small.
SampleSource synthetic_samples(const config::Run& run, std::int64_t tokens = kSyntheticTokens);

}  // namespace cloze
