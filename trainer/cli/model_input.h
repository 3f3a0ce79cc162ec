// What the commands that use a model are given: the model, and text for it or ids from a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/cli/command_line.h"
#include "trainer/loop/trainer.h"

namespace cloze {

struct ModelInput {
  std::string model;                // Checkpoint, run or Hugging Face folder.
  std::optional<std::string> text;  // Or else
  std::string ids;                  // FILE.json
  std::string tokenizer;            // Folder, instead of the model's own; may be empty.
  int tensor = 0;                   // Ranks that share each matrix; 0: all of the job.
};

// MODEL, one of `text_option` and --ids, --tokenizer, --tensor. `input` outlives the command.
void add_model_options(Command command, ModelInput& input, const std::string& text_option,
                       const std::string& text_meaning);

// What `body` is given on each rank.
struct ModelJob {
  JobPlace& place;
  Communicator& world;
  Communicator* tensor;        // This rank's group; null for ranks beyond --tensor, without work.
  std::filesystem::path path;  // Of the model, one step of a run for all ranks.
};

// run_job() with the threads and the groups that a model is used with.
int run_model_job(const ModelInput& input, const std::function<int(const ModelJob&)>& body);

// FILE.json with one flat array of token ids, each from 0 to vocab_size - 1. Anything else is
// kBadInput and names the place.
std::vector<std::int32_t> read_ids(const std::filesystem::path& path, std::int64_t vocab_size);

}  // namespace cloze
