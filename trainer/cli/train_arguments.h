// The options of `cloze train`, which `cloze launch` passes on to it.
#pragma once

#include <string>
#include <vector>

#include "trainer/cli/command_line.h"
#include "trainer/config/load.h"

namespace cloze {

struct TrainArguments {
  std::string config{};
  std::vector<std::string> overrides{};
  std::string resume = "auto";
  std::string device = "cpu";
  bool share_gpus = false;  // Ranks of a host may compute on one GPU.
  std::vector<std::string> allowed_changes{};
  bool operator==(const TrainArguments&) const = default;
};

// --device, explained by `text`, and --share-gpus. The variables outlive the command.
void add_device_options(Command command, std::string& device, bool& share_gpus,
                        const std::string& text);
// Throws Error kUsage for --share-gpus without a device to share.
void require_shared_device(const std::string& device, bool share_gpus);

// `arguments` outlives the command.
void add_train_options(Command command, TrainArguments& arguments);

// The words behind `cloze train` that say the same.
std::vector<std::string> words_of(const TrainArguments& arguments);

// The config that they name, checked for `num_ranks`. Throws Error kUsage.
LoadedConfig load_for_training(const TrainArguments& arguments, int num_ranks);

}  // namespace cloze
