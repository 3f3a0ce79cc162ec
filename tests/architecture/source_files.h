// The files of the project, as text, for tests that hold the code to its own rules.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

struct SourceFile {
  std::string path;  // From the root, "parallel/mesh/mesh.cc".
  std::vector<std::string> lines;
};

inline SourceFile read_source(const std::filesystem::path& root, const std::string& path) {
  SourceFile source{path, {}};
  std::ifstream file(root / path);
  for (std::string line; std::getline(file, line);) source.lines.push_back(line);
  return source;
}

// Text files that people write: code, protos, build files, scripts, pages. In order of paths.
// Goldens and seeds are data, and so are not among them.
inline std::vector<SourceFile> read_sources(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  constexpr std::string_view kFolders[] = {"parallel", "data",  "trainer", "configs", "scripts",
                                           "tests",    "cmake", "docs",    ".ci"};
  constexpr std::string_view kFiles[] = {"CMakeLists.txt",  "CMakePresets.json", "README.md",
                                         "CONTRIBUTING.md", "CHANGELOG.md",      ".clang-tidy"};
  constexpr std::string_view kKinds[] = {".h",    ".cc",   ".cu", ".proto", ".txt", ".cmake",
                                         ".yaml", ".json", ".sh", ".py",    ".md",  ""};
  std::vector<std::string> paths;
  for (const std::string_view name : kFiles) {
    if (fs::exists(root / name)) paths.emplace_back(name);
  }
  for (const std::string_view folder : kFolders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = entry.path().lexically_relative(root).string();
      const std::string kind = entry.path().extension().string();
      if (entry.is_regular_file() && path.find("golden/") == std::string::npos &&
          !path.starts_with("tests/fuzz/seeds/") && path.find("__pycache__") == std::string::npos &&
          std::ranges::count(kKinds, kind) > 0) {
        paths.push_back(path);
      }
    }
  }
  std::ranges::sort(paths);
  std::vector<SourceFile> sources;
  sources.reserve(paths.size());
  for (const std::string& path : paths) sources.push_back(read_source(root, path));
  return sources;
}

inline bool is_code(const SourceFile& source) {
  return source.path.ends_with(".h") || source.path.ends_with(".cc") ||
         source.path.ends_with(".cu");
}

}  // namespace cloze
