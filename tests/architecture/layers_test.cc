// Keeps the layer diagram true: a folder includes only itself and what CMakeLists.txt gives it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/architecture/source_files.h"

namespace cloze {
namespace {

using Layers = std::map<std::string, std::set<std::string>>;

// CMake writes one line per cloze_module, from the bottom up:
// "parallel/comm: parallel/base parallel/mesh".
Layers read_layers(std::istream& file, std::vector<std::string>* order = nullptr) {
  Layers layers;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string folder;
    words >> folder;
    folder.pop_back();  // The colon.
    if (order != nullptr) order->push_back(folder);
    layers[folder].insert(folder);
    for (std::string dependency; words >> dependency;) layers[folder].insert(dependency);
  }
  return layers;
}

Layers read_layers() {
  std::ifstream file(CLOZE_LAYERS_FILE);
  return read_layers(file);
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The folders that a file includes from, with the line's number.
std::vector<std::pair<int, std::string>> included_folders(const SourceFile& source) {
  static const std::regex include(R"re(^\s*#\s*include "(.+)/[^/]+")re");
  std::vector<std::pair<int, std::string>> found;
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(source.lines[i], match, include)) {
      found.emplace_back(static_cast<int>(i + 1), match[1]);
    }
  }
  return found;
}

std::vector<std::string> violations(const SourceFile& source, const Layers& layers) {
  std::vector<std::string> found;
  const auto allowed = layers.find(folder_of(source.path));
  if (allowed == layers.end()) return found;
  for (const auto& [line, folder] : included_folders(source)) {
    // A test may use what tests share; nothing else may.
    if (folder.starts_with("tests/") && source.path.ends_with("_test.cc")) continue;
    if (!allowed->second.contains(folder)) {
      found.push_back(source.path + ":" + std::to_string(line) + " includes " + folder);
    }
  }
  return found;
}

TEST(LayersTest, FoldersIncludeOnlyDownward) {
  const Layers layers = read_layers();
  ASSERT_FALSE(layers.empty()) << CLOZE_LAYERS_FILE;
  for (const SourceFile& source : read_sources(CLOZE_SOURCE_DIR)) {
    if (!is_code(source)) continue;
    for (const std::string& violation : violations(source, layers)) {
      ADD_FAILURE() << violation
                    << "\n  fix: move the code down, or add the edge to CMakeLists.txt and say "
                       "why in docs/decisions";
    }
  }
}

// A folder named before it is described would be an edge upward, and with it a cycle.
TEST(LayersTest, EveryEdgeLeadsToAFolderDescribedEarlier) {
  std::ifstream file(CLOZE_LAYERS_FILE);
  std::vector<std::string> order;
  const Layers layers = read_layers(file, &order);
  std::set<std::string> below;
  for (const std::string& folder : order) {
    below.insert(folder);
    for (const std::string& dependency : layers.at(folder)) {
      EXPECT_TRUE(below.contains(dependency)) << folder << " stands above " << dependency;
    }
  }
}

TEST(LayersTest, EveryFolderWithCodeIsAModule) {
  const Layers layers = read_layers();
  for (const SourceFile& source : read_sources(CLOZE_SOURCE_DIR)) {
    if (!is_code(source) || source.path.starts_with("tests/")) continue;
    EXPECT_TRUE(layers.contains(folder_of(source.path)))
        << source.path << " is in no cloze_module of CMakeLists.txt";
  }
}

TEST(LayersTest, APlantedViolationIsFoundWithItsLine) {
  std::istringstream file("parallel/base: \nparallel/mesh: parallel/base\n");
  const Layers layers = read_layers(file);
  const SourceFile bad{"parallel/base/check.h",
                       {"#pragma once", "#include \"parallel/mesh/mesh.h\""}};
  EXPECT_EQ(violations(bad, layers),
            std::vector<std::string>{"parallel/base/check.h:2 includes parallel/mesh"});
  const SourceFile good{"parallel/mesh/mesh.h", {"#include \"parallel/base/check.h\""}};
  EXPECT_TRUE(violations(good, layers).empty());
}

}  // namespace
}  // namespace cloze
