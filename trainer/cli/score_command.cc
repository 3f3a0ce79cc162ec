// `cloze score`: the logits and log-probabilities of a text.
#include <memory>
#include <optional>
#include <string>

#include "parallel/base/check.h"
#include "trainer/cli/command.h"
#include "trainer/cli/model_input.h"
#include "trainer/config/model_check.h"
#include "trainer/export/open_model.h"
#include "trainer/generate/score.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

struct ScoreArguments {
  ModelInput input;
  std::string output;
};

TokenIds ids_of(const ModelInput& input, const OpenedModel& opened) {
  if (!input.text) return read_ids(input.ids, opened.model.vocab_size());
  TokenIds ids = tokenizer_of(opened, input.tokenizer).encode(*input.text, /*parse_special=*/true);
  CLOZE_REQUIRE(!ids.empty(), ExitCode::kUsage, "the text is empty", "give --text some words");
  return ids;
}

int score(const ScoreArguments& arguments) {
  return run_model_job(arguments.input, [&](const ModelJob& job) {
    OpenedModel opened;
    TokenIds ids;
    std::optional<ScoreFile> file;
    std::optional<InferenceModel> model;
    together(job.world, [&] {
      if (job.tensor == nullptr) return;
      opened = open_model(job.path);
      check_tensor_degree(opened.model, job.path.string(), job.tensor->size());
      ids = ids_of(arguments.input, opened);
      const auto tokens = static_cast<std::int64_t>(ids.size());
      CLOZE_REQUIRE(tokens <= opened.model.max_position_embeddings(), ExitCode::kUsage,
                    str("the text has ", tokens, " tokens, the model ",
                        opened.model.max_position_embeddings(), " positions"),
                    "score a shorter text");
      if (job.world.rank() == 0) file.emplace(arguments.output, ids, opened.model.vocab_size());
      model.emplace(opened.model, *opened.weights, tokens, *job.tensor);
    });
    job.place.phase = "score";
    if (job.tensor != nullptr) write_scores(*model, ids, file ? &*file : nullptr);
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_score_command(Command root) {
  const auto arguments = std::make_shared<ScoreArguments>();
  const Command command = root.subcommand(
      "score", "Writes the logits and log-probabilities of a text, read left to right");
  add_model_options(command, arguments->input, "--text",
                    "Text; names of special tokens are those tokens");
  command.option("--output", arguments->output, "Safetensors file to write").required();
  command.runs([arguments] { return score(*arguments); });
}

}  // namespace cloze
