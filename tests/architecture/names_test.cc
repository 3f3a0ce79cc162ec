// One name, one definition: two classes of one name in two files compile, link, and then run each
// other's functions, for the linker keeps one of what it takes for the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "tests/architecture/source_files.h"

namespace cloze {
namespace {

struct Definition {
  std::string name;  // With its namespaces.
  int line = 0;
};

// Classes, enumerations and inline functions at the outermost level of the named namespaces. Of
// nested and anonymous ones there is no harm across files.
std::vector<Definition> definitions_in(const std::vector<std::string>& lines) {
  static const std::regex opens(R"(^(?:inline )?namespace\s*([\w:]*)\s*\{)");
  static const std::regex closes(R"(^\}\s*//\s*namespace)");
  static const std::regex type(
      R"(^(?:struct|class|enum class|enum)\s+(?:\[\[\w+\]\]\s*)?(\w+)\s*(?:final\s*)?(:[^:].*)?\{)");
  static const std::regex inline_function(R"(^inline\s+[\w:<>,*& ]+?[*& ](\w+)\()");
  std::vector<std::string> spaces;
  std::vector<Definition> found;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(lines[i], match, opens)) {
      spaces.push_back(match[1]);
    } else if (std::regex_search(lines[i], closes)) {
      if (!spaces.empty()) spaces.pop_back();
    } else if (std::ranges::count(spaces, "") == 0) {
      const bool is_type = std::regex_search(lines[i], match, type);
      if (!is_type && !std::regex_search(lines[i], match, inline_function)) continue;
      std::string name;
      for (const std::string& space : spaces) name += space + "::";
      found.push_back({name + match[1].str() + (is_type ? "" : "()"), static_cast<int>(i) + 1});
    }
  }
  return found;
}

TEST(NamesTest, DefinitionsAreFound) {
  const std::vector<std::string> lines = {"namespace cloze {",
                                          "struct Box {",
                                          "  struct Inner {",
                                          "};",
                                          "class Later;",
                                          "namespace {",
                                          "struct Hidden {",
                                          "}  // namespace",
                                          "class Ring : Figure {",
                                          "class [[nodiscard]] Promise {",
                                          "struct Box::Part {",
                                          "enum class Kind : int {",
                                          "inline int size_of(const Box& box) {",
                                          "}  // namespace cloze",
                                          "struct Outside {"};
  std::vector<std::string> names;
  for (const Definition& definition : definitions_in(lines)) names.push_back(definition.name);
  EXPECT_EQ(names, (std::vector<std::string>{"cloze::Box", "cloze::Ring", "cloze::Promise",
                                             "cloze::Kind", "cloze::size_of()", "Outside"}));
}

TEST(NamesTest, EachHasOneDefinition) {
  std::map<std::string, std::string> places;
  for (const SourceFile& source : read_sources(CLOZE_SOURCE_DIR)) {
    if (!is_code(source)) continue;
    for (const Definition& definition : definitions_in(source.lines)) {
      // Overloads of a function may share a file.
      const auto [found, is_new] = places.emplace(definition.name, source.path);
      EXPECT_TRUE(is_new || found->second == source.path)
          << source.path << ":" << definition.line << ": " << definition.name << " is defined in "
          << found->second << " too\n  fix: a name that says what is different about it";
    }
  }
  EXPECT_GT(places.size(), 300U) << "the sources were not read";
}

}  // namespace
}  // namespace cloze
