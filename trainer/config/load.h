// From a YAML file and the --set options to a complete, checked Run.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

// One violated rule or syntax problem. Printed as file:line:column: what; fix.
struct Problem {
  std::string file;  // "--set" for options of the command line; then line counts the options.
  int line = 0;      // From 1; 0 when it is about the whole file, such as a missing section.
  int column = 0;    // From 1, characters.
  std::string what;
  std::string fix;
  bool operator==(const Problem&) const = default;
};
std::string text_of(const Problem& problem);

// Where a key was written.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
};

struct LoadedConfig {
  std::string file;  // The name of the config, for problems without a place.
  // Resolved: the preset filled in, every default written out, values derived from others set
  // (kv heads, head_dim, betas, sequence, checkpoint.directory), keys without effect cleared.
  config::Run run;
  // Dotted key -> "configs/tiny.yaml:12:7", "--set", "preset glm-4-9b", "derived" or "default".
  std::map<std::string, std::string> origin;
  // The keys and sections that a source wrote, for messages of the rules.
  std::map<std::string, Place> places;
  // Lines for the user that are no errors, such as a key that a --set made idle.
  std::vector<std::string> notices;
};

// `overrides` are the texts "path=value" of --set; later wins, lists are replaced whole.
// Throws Error(kUsage) that lists all problems at once. Whether the layout fits the ranks of a job
// is left to check_config.
LoadedConfig load_config(const std::filesystem::path& path,
                         const std::vector<std::string>& overrides);

// The same from text; `file` is the name that problems show.
LoadedConfig load_config_text(const std::string& text, const std::string& file,
                              const std::vector<std::string>& overrides);

// What a config is and all that is wrong with it.
struct CheckedConfig {
  LoadedConfig loaded;            // Complete only when there are no problems.
  std::vector<Problem> problems;  // In the order of the file.
};

// One reading of the file; with a number of ranks also whether the layout fits them.
CheckedConfig check_config(const std::filesystem::path& path,
                           const std::vector<std::string>& overrides,
                           std::optional<int> world_size = std::nullopt);

// The problems of a text alone.
std::vector<Problem> find_problems_in_text(const std::string& text, const std::string& file,
                                           const std::vector<std::string>& overrides,
                                           std::optional<int> world_size = std::nullopt);

// Throws Error(kUsage) with all of them; does nothing when there are none.
void throw_problems(const std::vector<Problem>& problems);

}  // namespace cloze
