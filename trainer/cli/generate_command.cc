// `cloze generate`: fills the blanks of a text, or continues it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/cli/command.h"
#include "trainer/cli/job.h"
#include "trainer/cli/model_input.h"
#include "trainer/cli/text_stream_out.h"
#include "trainer/config/model_check.h"
#include "trainer/export/open_model.h"
#include "trainer/generate/generate.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

struct GenerateArguments {
  ModelInput input;
  std::string mode = "auto";
  GenerationOptions options;
  bool json = false;
};

// A prompt that is ready, and what the tokens in it mean.
struct Task {
  OpenedModel opened;
  std::optional<Tokenizer> tokenizer;  // None when ids were given for a model without one.
  SpecialTokens special;
  bool fills_blanks = false;
  TokenIds prompt;      // As the model reads it.
  bool closed = false;  // Its last token, eos, is not the user's and not shown.
  GenerationOptions options;
  std::int64_t longest = 0;  // Tokens that the text may come to.
};

// The tokenizer that the task needs, and one that it could do without where that can be read.
std::optional<Tokenizer> tokenizer_for(const GenerateArguments& arguments, const Task& task) {
  const bool is_needed =
      arguments.input.text || task.fills_blanks || !arguments.input.tokenizer.empty();
  if (!is_needed && task.opened.tokenizer.empty()) return std::nullopt;
  try {
    return tokenizer_of(task.opened, arguments.input.tokenizer);
  } catch (const Error&) {
    if (is_needed) throw;
    return std::nullopt;  // Ids in, ids out.
  }
}

Task prepare(const GenerateArguments& arguments, const std::filesystem::path& path,
             int tensor_ranks) {
  const SamplingOptions& sampling = arguments.options.sampling;
  CLOZE_REQUIRE(std::isfinite(sampling.temperature) && std::isfinite(sampling.top_p),
                ExitCode::kUsage, "--temperature or --top-p is no number", "give a number");
  Task task;
  task.opened = open_model(path);
  task.options = arguments.options;
  check_tensor_degree(task.opened.model, path.string(), tensor_ranks);
  task.fills_blanks =
      arguments.mode == "auto" ? task.opened.fills_blanks : arguments.mode == "blank_infilling";
  task.tokenizer = tokenizer_for(arguments, task);
  task.prompt = arguments.input.text
                    ? task.tokenizer->encode(*arguments.input.text, /*parse_special=*/true)
                    : read_ids(arguments.input.ids, task.opened.model.vocab_size());
  task.options.end_ids = task.opened.eos_ids;
  if (task.tokenizer) {
    if (const auto eos = task.tokenizer->id_of("<|endoftext|>")) {
      task.options.end_ids.push_back(*eos);
    }
  }
  if (task.fills_blanks) {
    task.special = special_tokens(*task.tokenizer, /*causal=*/false);
    const bool was_closed = !task.prompt.empty() && task.prompt.back() == task.special.eos;
    task.prompt = with_blank_and_end(std::move(task.prompt), task.special);
    task.closed = !was_closed && task.prompt.back() == task.special.eos;
    task.options.end_ids = {task.special.eop, task.special.eos};
  }
  CLOZE_REQUIRE(!task.prompt.empty(), ExitCode::kUsage,
                "the prompt is empty, and the model continues texts",
                "give --prompt some words, or --mode blank_infilling");
  // All blanks may be written before the last is.
  const auto blanks = task.fills_blanks
                          ? std::count_if(task.prompt.begin(), task.prompt.end(),
                                          [&](std::int32_t id) {
                                            return first_blank({id}, task.special).has_value();
                                          })
                          : 1;
  task.longest =
      static_cast<std::int64_t>(task.prompt.size()) + blanks * task.options.max_new_tokens;
  CLOZE_REQUIRE(task.longest <= task.opened.model.max_position_embeddings(), ExitCode::kUsage,
                str("the prompt's ", task.prompt.size(), " tokens and ", blanks, " x ",
                    task.options.max_new_tokens, " new ones exceed the model's ",
                    task.opened.model.max_position_embeddings(), " positions"),
                "shorten the prompt, or lower --max-new-tokens");
  return task;
}

// What is written, kept for --json and shown as it comes.
class Writer {
 public:
  Writer(const Task& task, bool json, bool shows)
      : json_(json), shows_(shows && !json), task_(task) {
    if (task.tokenizer) out_.emplace(*task.tokenizer);
  }

  void show(const TokenIds& ids) {
    if (!shows_) return;
    for (const std::int32_t id : ids) token(id);
  }
  void token(std::int32_t id) {
    if (!shows_) return;
    if (out_) {
      out_->token(id);
    } else {
      std::printf("%d ", id);
      std::fflush(stdout);
    }
  }
  void add(const char* mask, const Continuation& written) {
    nlohmann::ordered_json part;
    if (mask != nullptr) part["mask"] = mask;
    part["ids"] = written.ids;
    if (task_.tokenizer) part["text"] = generated_text(*task_.tokenizer, written.ids);
    part["ended"] = written.ended;
    parts_.push_back(std::move(part));
  }
  void finish(const TokenIds& whole) {
    if (shows_) {
      if (out_) out_->finish();
      std::fputs("\n", stdout);
    }
    if (json_) print_json(whole);
    require_standard_output();
  }

 private:
  void print_json(const TokenIds& whole) const {
    nlohmann::ordered_json object;
    object["prompt_ids"] = task_.prompt;
    object["parts"] = parts_;
    object["ids"] = whole;
    if (task_.tokenizer) object["text"] = generated_text(*task_.tokenizer, whole);
    const auto replace = nlohmann::ordered_json::error_handler_t::replace;
    std::printf("%s\n", object.dump(-1, ' ', false, replace).c_str());
  }

  const bool json_;
  const bool shows_;
  const Task& task_;
  std::optional<TextStreamOut> out_;
  nlohmann::ordered_json parts_ = nlohmann::ordered_json::array();
};

// PromptBlank after blank, each with those before it filled in; the text appears left to right.
TokenIds fill_blanks(const InferenceModel& model, const Task& task, Writer& writer) {
  TokenIds text = task.prompt;
  std::size_t shown = 0;
  for (std::uint64_t number = 0;; ++number) {
    const std::optional<PromptBlank> blank = first_blank(text, task.special);
    const std::size_t until = blank ? blank->place : text.size() - (task.closed ? 1 : 0);
    writer.show({text.begin() + static_cast<std::ptrdiff_t>(shown),
                 text.begin() + static_cast<std::ptrdiff_t>(until)});
    if (!blank) return text;
    // A mask token that the model itself wrote would be a blank without end: it is left out.
    const auto is_content = [&](std::int32_t id) { return !first_blank({id}, task.special); };
    const Continuation written =
        fill_blank(model, text, *blank, task.special, task.options, number, [&](std::int32_t id) {
          if (is_content(id)) writer.token(id);
        });
    writer.add(blank->objective == Objective::kMask       ? "[MASK]"
               : blank->objective == Objective::kSentence ? "[sMASK]"
                                                          : "[gMASK]",
               written);
    TokenIds content;
    std::ranges::copy_if(written.ids, std::back_inserter(content), is_content);
    const auto at = text.begin() + static_cast<std::ptrdiff_t>(until);
    text.insert(text.erase(at), content.begin(), content.end());
    shown = until + content.size();
  }
}

TokenIds continue_prompt(const InferenceModel& model, const Task& task, Writer& writer) {
  const Continuation written =
      continue_text(model, task.prompt, task.options, [&](std::int32_t id) { writer.token(id); });
  writer.add(nullptr, written);
  TokenIds whole = task.prompt;
  whole.insert(whole.end(), written.ids.begin(), written.ids.end());
  return whole;
}

int generate(const GenerateArguments& arguments) {
  return run_model_job(arguments.input, [&](const ModelJob& job) {
    std::optional<Task> task;
    std::optional<InferenceModel> model;
    together(job.world, [&] {
      if (job.tensor == nullptr) return;
      task.emplace(prepare(arguments, job.path, job.tensor->size()));
      model.emplace(task->opened.model, *task->opened.weights, task->longest + 2,
                    *job.tensor);  // A mask token and <sop>.
    });
    job.place.phase = "generate";
    if (job.tensor != nullptr) {
      Writer writer(*task, arguments.json, job.world.rank() == 0);
      const TokenIds whole = task->fills_blanks ? fill_blanks(*model, *task, writer)
                                                : continue_prompt(*model, *task, writer);
      if (job.world.rank() == 0) writer.finish(whole);
    }
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_generate_command(Command root) {
  const auto arguments = std::make_shared<GenerateArguments>();
  const Command command =
      root.subcommand("generate", "Fills the blanks of a text, or continues it");
  add_model_options(command, arguments->input, "--prompt",
                    "Text, with [MASK], [sMASK] or [gMASK] for blanks");
  command
      .option("--mode", arguments->mode,
              "blank_infilling, causal, or auto: as the checkpoint was trained, causal for a "
              "Hugging Face folder")
      .one_of({"auto", "blank_infilling", "causal"});
  GenerationOptions& options = arguments->options;
  command
      .option("--max-new-tokens", options.max_new_tokens,
              "Most tokens of a blank or a continuation; 128")
      .range(1, 1 << 24);
  command
      .option("--temperature", options.sampling.temperature,
              "0 (default): always the likeliest token; 1: as the model says")
      .up_to(1000.0);
  command.option("--top-k", options.sampling.top_k, "Only the k likeliest tokens; 0: all")
      .non_negative();
  command
      .option("--top-p", options.sampling.top_p,
              "Only the likeliest tokens that together reach this share; 1: all")
      .up_to(1.0);
  command.option("--seed", options.sampling.seed, "Of the random numbers; 0");
  command.flag("--json", arguments->json, "Print one JSON object at the end");
  command.runs([arguments] { return generate(*arguments); });
}

}  // namespace cloze
