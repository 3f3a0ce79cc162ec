// Writes the values of a YAML tree into the Run, key by key, as the schema demands.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "trainer/config/load.h"
#include "trainer/config/yaml_tree.h"

namespace cloze {

// A config while its sources are read.
struct Draft {
  LoadedConfig loaded;
  std::vector<Problem> problems;
  // Keys that were written but have no valid value; rules do not judge them.
  std::set<std::string> broken;
  // The file could be read to its end; else rules would judge keys that stand behind.
  bool is_whole = true;
};

inline constexpr const char* kOverrideFile = "--set";

// Reads a whole file; values replace those of earlier sources.
void fill_from_file(const std::string& text, const std::string& file, Draft& draft);

// Reads "path=value", the `number`th (from 1) of the command line.
void fill_from_override(const std::string& text, int number, Draft& draft);

}  // namespace cloze
