// `cloze import`: a Hugging Face folder as a checkpoint, from which a run can start.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "parallel/base/check.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/checkpoint_writer.h"
#include "trainer/cli/command.h"
#include "trainer/cli/job.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/export/import_model.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/checkpointing.h"

namespace cloze {
namespace {

struct ImportArguments {
  std::string folder;
  std::string output;
  bool without_tokenizer = false;
};

int run_import(const ImportArguments& arguments) {
  JobPlace place;
  return run_job(place, [&](MpiSession& /*session*/, Communicator& world) {
    place.phase = "import";
    const ImportTarget target = import_target(arguments.output);
    std::optional<ModelFolder> folder;
    CheckpointState state;
    together(world, [&] {
      folder.emplace(ModelFolder::open(arguments.folder));
      state = imported_state(*folder, !arguments.without_tokenizer);
      CLOZE_REQUIRE(committed_steps(target.directory).empty(), ExitCode::kCannotWrite,
                    str(target.directory.string(), " holds checkpoints of a run"),
                    "choose an --output of its own for the import");
    });
    const std::string token = save_token(world);
    CheckpointSave save(target.directory, target.step, "import-" + token, token);
    save_together(
        world, save, [&] { return pieces_of(*folder, world.rank(), world.size()); },
        [&] { return state; }, /*trace=*/nullptr);
    if (world.rank() == 0) {
      std::printf("imported %s to %s; a config that starts from it has\n\nrun:\n  initial: %s\n%s",
                  arguments.folder.c_str(), save.folder().string().c_str(),
                  save.folder().string().c_str(), model_yaml(folder->config().model).c_str());
      require_standard_output();
    }
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_import_command(Command root) {
  const auto arguments = std::make_shared<ImportArguments>();
  const Command command = root.subcommand("import", "Makes a checkpoint of a Hugging Face folder");
  command.option("HF_DIR", arguments->folder, "Folder with config.json and safetensors files")
      .required();
  command
      .option("--output", arguments->output,
              "Checkpoint to make: a step folder, RUN/checkpoints or RUN")
      .required();
  command.flag("--no-tokenizer", arguments->without_tokenizer,
               "Leave the folder's tokenizer unread and unnamed");
  command.runs([arguments] { return run_import(*arguments); });
}

}  // namespace cloze
