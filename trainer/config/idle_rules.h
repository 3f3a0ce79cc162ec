// Keys that have no effect because of the value of another key.
#pragma once

#include <string_view>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

// Keys that the value of another key, the switch, disables. Switch and keys stand in one section.
struct IdleRule {
  std::string_view key;
  bool (*disables)(const config::Run& run);
  std::string_view enable;  // How the switch must stand for the keys to count.
  std::vector<std::string_view> idle;
};

// Every such pair of the schema. Keys that only an axis of size 1 makes idle are not among them:
// one file serves every layout.
std::vector<IdleRule> idle_rules();

}  // namespace cloze
