#include "trainer/export/open_model.h"

#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/export/model_folder.h"

namespace cloze {
namespace {

OpenedModel open_checkpoint(const std::filesystem::path& path) {
  OpenedModel opened;
  opened.path = path;
  auto checkpoint = std::make_unique<Checkpoint>(Checkpoint::open(opened.path));
  config::Run run;
  CLOZE_REQUIRE(run.ParseFromString(checkpoint->state().config()), ExitCode::kBadInput,
                str(opened.path.string(), " holds no config that can be read"),
                "use a checkpoint of this version");
  opened.model = run.model();
  opened.compute = run.precision().compute();
  opened.fills_blanks = run.objective().kind() == config::Objective::blank_infilling;
  opened.tokenizer = run.data().tokenizer();
  const CheckpointState& state = checkpoint->state();
  opened.tokenizer_digest = state.tokenizer_digest();
  opened.eos_ids.assign(state.eos_ids().begin(), state.eos_ids().end());
  if (state.has_pad_id()) opened.pad_id = state.pad_id();
  opened.weights = std::move(checkpoint);
  return opened;
}

OpenedModel open_folder(const std::filesystem::path& path) {
  OpenedModel opened;
  opened.path = path;
  auto folder = std::make_unique<ModelFolder>(ModelFolder::open(path));
  opened.model = folder->config().model;
  opened.eos_ids = folder->config().eos_ids;
  opened.pad_id = folder->config().pad_id;
  opened.compute = folder->compute();
  std::error_code ignored;
  if (std::filesystem::exists(path / "tokenizer.json", ignored)) opened.tokenizer = path;
  opened.weights = std::move(folder);
  return opened;
}

}  // namespace

std::filesystem::path resolve_model(const std::filesystem::path& path) {
  if (is_checkpoint(path)) return resolve_checkpoint(path);
  std::error_code ignored;
  CLOZE_REQUIRE(is_model_folder(path), ExitCode::kBadInput,
                str(path.string(), std::filesystem::exists(path, ignored)
                                       ? " is neither a checkpoint nor a Hugging Face folder"
                                       : " does not exist"),
                "name a step folder, RUN/checkpoints, RUN, or a folder with config.json and "
                "model.safetensors");
  return path;
}

OpenedModel open_model(const std::filesystem::path& path) {
  const std::filesystem::path resolved = resolve_model(path);
  return is_checkpoint(resolved) ? open_checkpoint(resolved) : open_folder(resolved);
}

Tokenizer tokenizer_of(const OpenedModel& opened, const std::filesystem::path& chosen) {
  const std::filesystem::path& folder = chosen.empty() ? opened.tokenizer : chosen;
  CLOZE_REQUIRE(!folder.empty(), ExitCode::kBadInput,
                str(opened.path.string(), " has no tokenizer"),
                "name one with --tokenizer, or give ids instead of text");
  std::error_code ignored;
  CLOZE_REQUIRE(!chosen.empty() || std::filesystem::exists(folder / "tokenizer.json", ignored),
                ExitCode::kBadInput,
                str(opened.path.string(), " names the tokenizer in ", folder.string(),
                    ", which is not there"),
                "name its folder with --tokenizer, or start in the folder that the path is "
                "relative to");
  Tokenizer tokenizer = Tokenizer::load(folder);
  CLOZE_REQUIRE(opened.tokenizer_digest.empty() || tokenizer.digest() == opened.tokenizer_digest,
                ExitCode::kBadInput,
                str("the tokenizer in ", folder.string(), " is not the one that ",
                    opened.path.string(), " was trained with"),
                "name that one with --tokenizer");
  CLOZE_REQUIRE(tokenizer.vocab_size() <= opened.model.vocab_size(), ExitCode::kBadInput,
                str("the tokenizer in ", folder.string(), " has ids up to ",
                    tokenizer.vocab_size() - 1, ", the model ", opened.model.vocab_size(), " rows"),
                "name the model's own tokenizer with --tokenizer");
  return tokenizer;
}

}  // namespace cloze
