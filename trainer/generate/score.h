// The logits of a text, and how likely each of its tokens was: read left to right, positions from
// 0, nothing added, whatever the model was trained for.
#pragma once

#include <cstdint>
#include <filesystem>

#include "trainer/generate/inference_model.h"
#include "trainer/generate/prompt.h"

namespace cloze {

// Writes a safetensors file with `logits` [seq, vocab] and `log_probabilities` [seq - 1] (entry i
// is that of token i + 1), fp32. All ranks of the model's group call it; rank 0 writes, and its
// failure is its own. Memory: some chunks of logits, never all of them.
void write_scores(const InferenceModel& model, const TokenIds& ids,
                  const std::filesystem::path& output);

}  // namespace cloze
