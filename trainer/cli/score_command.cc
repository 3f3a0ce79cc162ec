// `cloze score`: the logits and log-probabilities of a text.
#include <ATen/Parallel.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/cli/command.h"
#include "trainer/cli/job.h"
#include "trainer/cli/text_input.h"
#include "trainer/config/model_check.h"
#include "trainer/export/open_model.h"
#include "trainer/generate/score.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/checkpointing.h"

namespace cloze {
namespace {

struct ScoreArguments {
  std::string model;
  std::optional<std::string> text;
  std::string ids;
  std::string output;
  std::string tokenizer;
  int tensor = 0;
};

TokenIds ids_of(const ScoreArguments& arguments, const OpenedModel& opened) {
  if (!arguments.text) return read_ids(arguments.ids, opened.model.vocab_size());
  TokenIds ids =
      tokenizer_of(opened, arguments.tokenizer).encode(*arguments.text, /*parse_special=*/true);
  CLOZE_REQUIRE(!ids.empty(), ExitCode::kUsage, "the text is empty", "give --text some words");
  return ids;
}

int score(const ScoreArguments& arguments) {
  JobPlace place;
  return run_job(place, [&](MpiSession& session, Communicator& world) {
    at::set_num_threads(threads_of("auto", session.local_size()));
    const std::unique_ptr<Communicator> tensor = tensor_group(session, arguments.tensor);
    place.phase = "model";
    const std::filesystem::path path = agreed_model(world, arguments.model);
    OpenedModel opened;
    TokenIds ids;
    std::optional<ScoreFile> file;
    std::optional<InferenceModel> model;
    together(world, [&] {
      if (tensor == nullptr) return;
      opened = open_model(path);
      check_tensor_degree(opened.model, tensor->size());
      ids = ids_of(arguments, opened);
      const auto tokens = static_cast<std::int64_t>(ids.size());
      CLOZE_REQUIRE(tokens <= opened.model.max_position_embeddings(), ExitCode::kUsage,
                    str("the text has ", tokens, " tokens, the model ",
                        opened.model.max_position_embeddings(), " positions"),
                    "score a shorter text");
      if (world.rank() == 0) file.emplace(arguments.output, ids, opened.model.vocab_size());
      model.emplace(opened.model, *opened.weights, tokens, *tensor);
    });
    place.phase = "score";
    if (tensor != nullptr) write_scores(*model, ids, file ? &*file : nullptr);
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_score_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<ScoreArguments>();
  CLI::App* const command = app.add_subcommand(
      "score", "Writes the logits and log-probabilities of a text, read left to right");
  command->add_option("MODEL", arguments->model, "Checkpoint, run or Hugging Face folder")
      ->required();
  CLI::Option_group* const input = command->add_option_group("input", "What is scored");
  input->add_option("--text", arguments->text, "Text; names of special tokens are those tokens");
  input->add_option("--ids", arguments->ids, "JSON file with one flat array of token ids");
  input->require_option(1);
  command->add_option("--output", arguments->output, "Safetensors file to write")->required();
  command->add_option("--tokenizer", arguments->tokenizer, "Folder, instead of the model's own");
  command->add_option("--tensor", arguments->tensor, "Ranks that share each matrix; all of the job")
      ->check(CLI::PositiveNumber);
  command->callback([arguments, &action] { action = [arguments] { return score(*arguments); }; });
}

}  // namespace cloze
