#include "trainer/cli/train_arguments.h"

#include <utility>

#include "parallel/base/check.h"
#include "parallel/gpu/vendor.h"

namespace cloze {

void add_device_options(Command command, std::string& device, bool& share_gpus,
                        const std::string& text) {
  std::vector<std::string> devices = {"cpu"};
  for (const GpuVendor& vendor : gpu_vendors()) devices.push_back(vendor.device);
  command.option("--device", device, text).one_of(devices);
  command.flag("--share-gpus", share_gpus,
               "Ranks of a host may share a GPU; slow, for tests and small machines");
}

void require_shared_device(const std::string& device, bool share_gpus) {
  CLOZE_REQUIRE(!share_gpus || (!device.empty() && device != "cpu"), ExitCode::kUsage,
                "--share-gpus without --device cuda", "say both, or neither");
}

void add_train_options(Command command, TrainArguments& arguments) {
  command.option("CONFIG", arguments.config, "YAML file").required();
  command.option("--set", arguments.overrides, "path=value, over the file; repeatable")
      .one_value_each();
  command.option("--resume", arguments.resume, "auto (default), strict or none")
      .one_of({"auto", "strict", "none"});
  add_device_options(command, arguments.device, arguments.share_gpus,
                     "cpu (default) or cuda: NVIDIA GPUs, one a rank");
  command
      .option("--allow-change", arguments.allowed_changes,
              "A key that may differ from the checkpoint's config; repeatable")
      .one_value_each();
}

std::vector<std::string> words_of(const TrainArguments& arguments) {
  std::vector<std::string> words = {"--resume", arguments.resume, "--device", arguments.device};
  if (arguments.share_gpus) words.emplace_back("--share-gpus");
  // With an equals sign a value may begin with hyphens.
  for (const std::string& text : arguments.overrides) words.push_back("--set=" + text);
  for (const std::string& key : arguments.allowed_changes) {
    words.push_back("--allow-change=" + key);
  }
  words.emplace_back("--");
  words.push_back(arguments.config);
  return words;
}

LoadedConfig load_for_training(const TrainArguments& arguments, int num_ranks) {
  require_shared_device(arguments.device, arguments.share_gpus);
  CheckedConfig checked = check_config(arguments.config, arguments.overrides, num_ranks);
  throw_problems(checked.problems);
  LoadedConfig loaded = std::move(checked.loaded);
  CLOZE_REQUIRE(loaded.run.run().has_directory() && loaded.run.run().has_steps(), ExitCode::kUsage,
                "run.directory and run.steps are not both set",
                "set them in the config or with --set");
  return loaded;
}

}  // namespace cloze
