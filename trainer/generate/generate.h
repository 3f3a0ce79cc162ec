// Writes text: fills the blanks of one, left to right, or continues it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/special_tokens.h"
#include "trainer/generate/inference_model.h"
#include "trainer/generate/prompt.h"
#include "trainer/generate/sampling.h"

namespace cloze {

struct GenerationOptions {
  std::int64_t max_new_tokens = 128;  // Of each blank, or of the continuation.
  SamplingOptions sampling;
  std::vector<std::int32_t> end_ids;  // Any of them ends a continuation or a blank.
};

// What was written, without the token that ended it.
struct Continuation {
  TokenIds ids;
  bool ended = false;  // By an end token, not by the limit.
};

// Called with every new token as it comes, on every rank.
using OnToken = std::function<void(std::int32_t)>;

// The tokens after `ids`, left to right. All ranks of the model's group call it together and get
// the same; so do the two below.
Continuation continue_text(const InferenceModel& model, const TokenIds& ids,
                           const GenerationOptions& options, const OnToken& on_token);

// The content of a blank of `ids`, which is a whole part A. `number` names the random numbers.
Continuation fill_blank(const InferenceModel& model, const TokenIds& ids, const PromptBlank& blank,
                        const SpecialTokens& special, const GenerationOptions& options,
                        std::uint64_t number, const OnToken& on_token);

}  // namespace cloze
