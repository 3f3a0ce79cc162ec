// `cloze export`: a checkpoint as a Hugging Face folder.
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "parallel/base/check.h"
#include "trainer/cli/command.h"
#include "trainer/cli/job.h"
#include "trainer/export/export_model.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/checkpointing.h"

namespace cloze {
namespace {

struct ExportArguments {
  std::string model;
  ExportOptions options;
  std::string dtype = "auto";
  int tensor = 0;
};

std::optional<DType> dtype_named(const std::string& name) {
  static const std::map<std::string, DType> kTypes = {
      {"fp32", DType::kF32}, {"bf16", DType::kBF16}, {"fp16", DType::kF16}};
  const auto found = kTypes.find(name);
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

int run_export(const ExportArguments& arguments) {
  JobPlace place;
  return run_job(place, [&](MpiSession& /*session*/, Communicator& world) {
    place.phase = "export";
    ExportOptions options = arguments.options;
    options.dtype = dtype_named(arguments.dtype);
    options.token = save_token(world);
    const std::filesystem::path path = agreed_model(world, arguments.model);
    OpenedModel opened;
    std::optional<ModelExport> exported;
    together(world, [&] {
      opened = open_model(path);
      exported.emplace(opened, options);
    });
    bool made = false;
    std::int64_t not_finite = 0;
    try {
      together(world, [&] {
        if (world.rank() == 0) exported->create_folder();
      });
      made = true;
      together(world, [&] { not_finite = exported->write_files(world.rank(), world.size()); });
      together(world, [&] {
        if (world.rank() == 0) exported->complete();
      });
    } catch (const Error&) {
      if (made && world.rank() == 0) exported->abandon();
      throw;
    }
    not_finite = sum_of(world, not_finite);
    if (world.rank() == 0) {
      if (not_finite > 0) {
        std::fprintf(stderr, "warning: %lld numbers of the export are not finite\n",
                     static_cast<long long>(not_finite));
      }
      std::printf("exported %s to %s: %lld bytes of %s in %lld files\n",
                  opened.path.string().c_str(), options.output.string().c_str(),
                  static_cast<long long>(exported->bytes()),
                  std::string(name_of(exported->dtype())).c_str(),
                  static_cast<long long>(exported->num_files()));
      require_standard_output();
    }
    return static_cast<int>(ExitCode::kDone);
  });
}

}  // namespace

void add_export_command(Command root) {
  const auto arguments = std::make_shared<ExportArguments>();
  const Command command = root.subcommand("export", "Writes a checkpoint as a Hugging Face folder");
  command.option("CHECKPOINT", arguments->model, "Step folder, RUN/checkpoints or RUN").required();
  command.option("--output", arguments->options.output, "Folder to make").required();
  command
      .option("--dtype", arguments->dtype,
              "fp32, bf16, fp16, or auto (default): as the run computes")
      .one_of({"auto", "fp32", "bf16", "fp16"});
  command
      .option("--max-shard-size", arguments->options.shard_bytes,
              "Largest weight file, such as 5GB (default)")
      .size_in_bytes()
      .positive();
  const Option tokenizer = command.option("--tokenizer", arguments->options.tokenizer,
                                          "Folder, instead of the one the run names");
  command.flag("--no-tokenizer", arguments->options.without_tokenizer, "Leave the tokenizer out")
      .excludes(tokenizer);
  command
      .option("--tensor", arguments->tensor,
              "Accepted as other commands take it: the ranks share the files")
      .positive();
  command.runs([arguments] { return run_export(*arguments); });
}

}  // namespace cloze
