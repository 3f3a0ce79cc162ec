// Published models by name: what `model.preset` fills in.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

// Nothing when no preset has the name.
std::optional<config::Model> preset_of(std::string_view name);
std::vector<std::string> preset_names();

}  // namespace cloze
