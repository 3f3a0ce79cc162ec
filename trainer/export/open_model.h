// A model to use, wherever it lies: a checkpoint of ours or a Hugging Face folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "data/tokenizer.h"
#include "trainer/checkpoint/weight_source.h"

namespace cloze {

struct OpenedModel {
  std::filesystem::path path;  // The step folder or the model folder.
  config::Model model;
  std::unique_ptr<WeightSource> weights;
  // How the weights were computed with: what an export stores unless told otherwise.
  config::Precision::Compute compute = config::Precision::fp32;
  bool fills_blanks = false;          // Trained by blank infilling; not known of a folder.
  std::filesystem::path tokenizer;    // Its folder; empty when none is known.
  std::string tokenizer_digest;       // Empty when the weights do not name one.
  std::vector<std::int32_t> eos_ids;  // Of a Hugging Face config; a tokenizer knows its own.
  std::optional<std::int32_t> pad_id;
};

// The step folder that CHECKPOINT (a step folder, RUN/checkpoints or RUN) means now, or HF_DIR
// itself; what is neither is kBadInput. A run may save meanwhile: one rank asks for all.
std::filesystem::path resolve_model(const std::filesystem::path& path);

// Opens what resolve_model() gives. What is damaged is kBadInput.
OpenedModel open_model(const std::filesystem::path& path);

// The tokenizer of an opened model: of `chosen` when that is not empty. kBadInput when there is
// none, when it is not the one the weights were trained with, or has ids beyond the vocabulary.
Tokenizer tokenizer_of(const OpenedModel& opened, const std::filesystem::path& chosen);

}  // namespace cloze
