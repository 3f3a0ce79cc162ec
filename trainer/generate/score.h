// The logits of a text, and how likely each of its tokens was: read left to right, positions from
// 0, nothing added, whatever the model was trained for.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "trainer/checkpoint/safetensors.h"
#include "trainer/generate/inference_model.h"
#include "trainer/generate/prompt.h"

namespace cloze {

// A safetensors file with `logits` [seq, vocab] and `log_probabilities` [seq - 1] (entry i is that
// of token i + 1), fp32. It appears when it is whole.
class ScoreFile {
 public:
  // kCannotWrite when the file cannot be made.
  ScoreFile(std::filesystem::path output, TokenIds ids, std::int64_t vocab_size);
  ScoreFile(const ScoreFile&) = delete;
  ScoreFile& operator=(const ScoreFile&) = delete;
  ~ScoreFile();  // Removes what is not whole.

  void add(const at::Tensor& logits);  // Of the next tokens, [n, vocab].
  void finish();

 private:
  const std::filesystem::path output_;
  const std::filesystem::path temporary_;
  const TokenIds ids_;
  SafetensorsWriter writer_;
  std::size_t next_ = 0;  // Token.
  std::vector<float> log_probabilities_;
};

// Scores `ids` into `file`, which rank 0 has; null on the others. All ranks of the model's group
// call it. Memory: some chunks of logits, never all of them.
void write_scores(const InferenceModel& model, const TokenIds& ids, ScoreFile* file);

}  // namespace cloze
