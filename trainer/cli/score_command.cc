// `cloze score`: the logits and log-probabilities of a text.
#include <ATen/Parallel.h>

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
    std::unique_ptr<Communicator> tensor = tensor_group(session, arguments.tensor);
    if (tensor != nullptr) {
      OpenedModel opened;
      TokenIds ids;
      std::optional<InferenceModel> model;
      place.phase = "model";
      together(*tensor, [&] {
        opened = open_model(arguments.model);
        check_tensor_degree(opened.model, tensor->size());
        ids = ids_of(arguments, opened);
        const auto tokens = static_cast<std::int64_t>(ids.size());
        CLOZE_REQUIRE(tokens <= opened.model.max_position_embeddings(), ExitCode::kUsage,
                      str("the text has ", tokens, " tokens, the model ",
                          opened.model.max_position_embeddings(), " positions"),
                      "score a shorter text");
        model.emplace(opened.model, *opened.weights, tokens, *tensor);
      });
      place.phase = "score";
      write_scores(*model, ids, arguments.output);
    }
    world.barrier();
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
