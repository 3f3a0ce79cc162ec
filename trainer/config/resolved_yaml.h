// A resolved Run as the YAML of RUN/config.yaml and `cloze config show`.
#pragma once

#include <map>
#include <string>

#include "configs/schema/run.pb.h"

namespace cloze {

// Loading the text gives the same Run again.
std::string resolved_yaml(const config::Run& run);

// The same with the origin of each value as a comment; keys as in LoadedConfig::origin.
std::string resolved_yaml(const config::Run& run, const std::map<std::string, std::string>& origin);

// The section `model` with the keys that are set: part of a config that somebody completes.
std::string model_yaml(const config::Model& model);

}  // namespace cloze
