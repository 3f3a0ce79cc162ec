// cloze config check | show | schema | document: judges a config, prints it complete, prints the
// schema for editors and the page that explains the keys.
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/cli/command.h"
#include "trainer/config/json_schema.h"
#include "trainer/config/load.h"
#include "trainer/config/reference.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/config/schema_text.h"

namespace cloze {
namespace {

struct ConfigOptions {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  std::optional<int> world_size;
};

// The findings are the product and go to stdout, one a line; the error then names the first.
int check(const ConfigOptions& options) {
  const CheckedConfig checked = check_config(options.config, options.overrides, options.world_size);
  const std::vector<Problem>& problems = checked.problems;
  for (const Problem& problem : problems) std::cout << text_of(problem) << "\n";
  if (!problems.empty()) {
    fail(ExitCode::kUsage,
         str(problems.size(), problems.size() == 1 ? " problem in " : " problems in ",
             options.config.string(), ", the first: ", problems.front().what),
         problems.front().fix);
  }
  for (const std::string& notice : checked.loaded.notices) {
    std::cout << "notice: " << notice << "\n";
  }
  std::cout << options.config.string() << " is fine";
  if (options.world_size) std::cout << " on " << *options.world_size << " ranks";
  std::cout << "\n";
  return static_cast<int>(ExitCode::kDone);
}

int show(const ConfigOptions& options) {
  const CheckedConfig checked = check_config(options.config, options.overrides, options.world_size);
  throw_problems(checked.problems);
  const LoadedConfig& loaded = checked.loaded;
  for (const std::string& notice : loaded.notices) std::cout << "# notice: " << notice << "\n";
  std::cout << resolved_yaml(loaded.run, loaded.origin);
  return static_cast<int>(ExitCode::kDone);
}

int print(const std::string& text) {
  std::cout << text;
  return static_cast<int>(ExitCode::kDone);
}

void add_options(Command command, ConfigOptions& options) {
  command.option("config", options.config, "The YAML file").required();
  // One value each, so that a CONFIG behind --set is not taken for another value.
  command.option("--set", options.overrides, "section.key=value; wins over the file")
      .one_value_each();
  command.option("--world", options.world_size, "Ranks that the layout must fit").range(1, 1 << 24);
}

}  // namespace

void add_config_command(Command root) {
  const Command config = root.subcommand("config", "Check or show a config");
  config.require_subcommand();

  const Command check_app = config.subcommand("check", "List every problem of a config");
  auto check_options = std::make_shared<ConfigOptions>();
  add_options(check_app, *check_options);
  check_app.runs([check_options] { return check(*check_options); });

  const Command show_app =
      config.subcommand("show", "Print the complete config with the origin of each value");
  auto show_options = std::make_shared<ConfigOptions>();
  add_options(show_app, *show_options);
  show_app.runs([show_options] { return show(*show_options); });

  config.subcommand("schema", "Print the JSON Schema of a config, for editors").runs([] {
    return print(config_json_schema(schema_text()));
  });
  config.subcommand("document", "Print docs/config.md, made from the schema").runs([] {
    return print(config_reference(schema_text()));
  });
}

}  // namespace cloze
