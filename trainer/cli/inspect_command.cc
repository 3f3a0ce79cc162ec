// cloze inspect: what a path holds, and whether it is whole.
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/shard_index.h"
#include "data/tokenizer.h"
#include "parallel/base/check.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/cli/command.h"
#include "trainer/cli/inspect.h"
#include "trainer/config/load.h"
#include "trainer/export/model_folder.h"

namespace cloze {
namespace {

struct InspectArguments {
  std::filesystem::path path;
  InspectOptions options;
  bool samples = false;    // The path is a config: show what it trains on.
  std::int64_t first = 0;  // Of the samples: the row to begin with.
  std::int64_t count = 8;  // Of the samples: lines.
  std::vector<std::string> overrides;
};

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

void inspect_tokenizer(const std::filesystem::path& folder, const InspectOptions& options,
                       std::ostream& out) {
  const Tokenizer tokenizer = Tokenizer::load(folder);
  nlohmann::ordered_json object;
  object["kind"] = "tokenizer";
  object["vocab_size"] = tokenizer.vocab_size();
  object["digest"] = tokenizer.digest();
  print_inspected(object, options, out);
}

int run(const InspectArguments& arguments) {
  const std::filesystem::path& path = arguments.path;
  const ShardPaths pair(path);
  if (arguments.samples) {
    inspect_samples(load_config(path, arguments.overrides).run, arguments.first, arguments.count,
                    std::cout);
  } else if (is_there(pair.idx) || is_there(pair.bin)) {
    inspect_shards(path, arguments.options, std::cout);
  } else if (is_checkpoint(path)) {
    inspect_checkpoint(path, arguments.options, std::cout);
  } else if (is_model_folder(path)) {
    inspect_folder(path, arguments.options, std::cout);
  } else if (is_there(path / "tokenizer.json")) {
    inspect_tokenizer(path, arguments.options, std::cout);
  } else {
    fail(ExitCode::kBadInput,
         str(path.string(), is_there(path) ? " is nothing that inspect knows" : " does not exist"),
         "name the PREFIX of a shard pair (PREFIX.bin, PREFIX.idx), a checkpoint, a run, a "
         "Hugging Face folder or a tokenizer's folder");
  }
  std::cout.flush();
  CLOZE_REQUIRE(std::cout.good(), ExitCode::kIo, "cannot write to the standard output",
                "check that the reader of the pipe or the disk takes all");
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace

void add_inspect_command(Command root) {
  const auto arguments = std::make_shared<InspectArguments>();
  const Command command = root.subcommand(
      "inspect", "Show what a shard pair, a checkpoint, an export or a tokenizer holds");
  command
      .option("path", arguments->path,
              "PREFIX of a shard pair, or a folder: checkpoint, run, export, tokenizer; with "
              "--samples a "
              "config")
      .required();
  command.flag("--json", arguments->options.json, "Print one JSON object");
  command.flag("--verify", arguments->options.verify,
               "Read everything and compare it with the digests");
  const Option samples =
      command.flag("--samples", arguments->samples,
                   "The path is a config: show the samples it trains on, one JSON object a "
                   "line");
  command.option("--first", arguments->first, "Row to begin with, counted from 0").needs(samples);
  command.option("--count", arguments->count, "Lines; 8 when absent").needs(samples);
  command.option("--set", arguments->overrides, "path=value, changes a key of the config")
      .needs(samples)
      .one_value_each();
  command.runs([arguments] { return run(*arguments); });
}

}  // namespace cloze
