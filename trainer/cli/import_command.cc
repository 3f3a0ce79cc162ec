// `cloze import`: a Hugging Face folder as a checkpoint, from which a run can start.
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/checkpoint/checkpoint_writer.h"
#include "trainer/cli/command.h"
#include "trainer/cli/job.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/export/import_model.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

struct ImportArguments {
  std::string folder;
  std::string output;
};

std::string time_token() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return str(std::chrono::nanoseconds(now).count());
}

int run_import(const ImportArguments& arguments) {
  JobPlace place;
  return run_job(place, [&](MpiSession& /*session*/, Communicator& world) {
    place.phase = "import";
    const ImportTarget target = import_target(arguments.output);
    std::optional<ModelFolder> folder;
    CheckpointState state;
    together(world, [&] {
      folder.emplace(ModelFolder::open(arguments.folder));
      state = imported_state(*folder);
    });
    const std::string token = broadcast_text(world, time_token(), 0);
    CheckpointSave save(target.directory, target.step, "import-" + token, token);
    std::string record;
    try {
      together(world, [&] {
        if (world.rank() == 0) save.create_folder();
      });
      together(world, [&] {
        record = save.write_rank_file(world.rank(), pieces_of(*folder, world.rank(), world.size()));
      });
      const std::vector<std::string> records = gather_texts(world, record);
      together(world, [&] {
        if (world.rank() == 0) save.commit(records, state);
      });
    } catch (const Error&) {
      if (world.rank() == 0) save.abandon();
      throw;
    }
    if (world.rank() == 0) {
      config::Run run;
      *run.mutable_model() = folder->config().model;
      std::printf("imported %s to %s; a config that starts from it has\n\nrun:\n  initial: %s\n%s",
                  arguments.folder.c_str(), save.folder().string().c_str(),
                  save.folder().string().c_str(), resolved_yaml(run).c_str());
    }
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_import_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<ImportArguments>();
  CLI::App* const command =
      app.add_subcommand("import", "Makes a checkpoint of a Hugging Face folder");
  command->add_option("HF_DIR", arguments->folder, "Folder with config.json and safetensors files")
      ->required();
  command
      ->add_option("--output", arguments->output,
                   "Checkpoint to make: a step folder, RUN/checkpoints or RUN")
      ->required();
  command->callback(
      [arguments, &action] { action = [arguments] { return run_import(*arguments); }; });
}

}  // namespace cloze
