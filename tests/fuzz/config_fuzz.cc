// The YAML front-end. The input is a config; what follows a record separator (0x1E) is one --set.
// It loads, or it is a list of problems with places inside the text and exit code 64. What loads
// is written out, with the origins or without, and loads to the same Run; and a layout that the
// rules let through multiplies to the number of ranks.
#include <algorithm>
#include <tuple>
#include <vector>

#include "tests/fuzz/fuzzing.h"
#include "trainer/config/differences.h"
#include "trainer/config/fill.h"
#include "trainer/config/load.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/config/rules.h"

namespace cloze::fuzz {
namespace {

constexpr const char* kFile = "fuzzed.yaml";

struct Sources {
  std::string text;
  std::vector<std::string> overrides;
};

Sources sources_of(std::string_view input) {
  Sources sources;
  sources.overrides = parts_of(input);
  sources.text = sources.overrides.front();
  sources.overrides.erase(sources.overrides.begin());
  return sources;
}

std::int64_t characters_of(std::string_view line) {
  return std::ranges::count_if(line, [](char c) { return (c & 0xC0) != 0x80; });
}

// A problem stands in the text, or behind its last character, or has no place at all.
void check_place(const Problem& problem, const Sources& sources) {
  require(!problem.what.empty() && !problem.fix.empty(), "a problem says what and how to fix");
  if (problem.file == kOverrideFile) {
    require(problem.line >= 1 && problem.line <= std::ssize(sources.overrides),
            "the problem of an option names one");
    const auto& option = sources.overrides[static_cast<std::size_t>(problem.line - 1)];
    require(problem.column >= 1 && problem.column <= std::ssize(option) + 1, text_of(problem));
    return;
  }
  require(problem.file == kFile, text_of(problem));
  if (problem.line == 0) return;
  const std::vector<std::string> lines = parts_of(sources.text, '\n');
  require(problem.line >= 1 && problem.line <= std::ssize(lines), text_of(problem));
  const std::string& line = lines[static_cast<std::size_t>(problem.line - 1)];
  require(problem.column >= 1 && problem.column <= characters_of(line) + 1, text_of(problem));
}

void check_problems(const std::vector<Problem>& problems, const Sources& sources) {
  for (const Problem& problem : problems) check_place(problem, sources);
  const auto rank = [](const Problem& problem) {
    return std::tuple(problem.file == kOverrideFile, problem.line, problem.column);
  };
  require(std::ranges::is_sorted(problems, {}, rank), "problems come in the order of the sources");
}

void check_round_trip(const LoadedConfig& loaded, bool with_origin) {
  const std::string text =
      with_origin ? resolved_yaml(loaded.run, loaded.origin) : resolved_yaml(loaded.run);
  const LoadedConfig again = load_config_text(text, "resolved.yaml", {});
  require(again.run.SerializeAsString() == loaded.run.SerializeAsString(), text);
  require(again.notices.empty(), "what is resolved has no idle keys");
  require(find_differences(loaded.run, again.run).empty(), "the same Run has no differences");
}

void check_layout(const LoadedConfig& loaded, const Sources& sources, int ranks) {
  const auto problems = find_problems_in_text(sources.text, kFile, sources.overrides, ranks);
  check_problems(problems, sources);
  if (!problems.empty()) return;
  const Degrees degrees = degrees_of(loaded.run.parallel(), ranks);
  require(degrees.world() == ranks, "the degrees multiply to the number of ranks");
}

void run(std::string_view input) {
  const Sources sources = sources_of(input);
  const auto problems = find_problems_in_text(sources.text, kFile, sources.overrides);
  check_problems(problems, sources);
  const auto loaded = parsed(
      ExitCode::kUsage, [&] { return load_config_text(sources.text, kFile, sources.overrides); });
  require(loaded.has_value() == problems.empty(), "what has no problem loads");
  if (!loaded) return;
  check_round_trip(*loaded, /*with_origin=*/input.size() % 2 == 0);
  check_layout(*loaded, sources, 1 + static_cast<int>(input.size() % 16));
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
