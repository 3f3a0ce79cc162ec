#include "parallel/base/system_file.h"

#include <fstream>

namespace cloze {

std::optional<std::string> system_text(const std::filesystem::path& path) {
  constexpr std::size_t kLargest = std::size_t{16} << 20;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  char block[4096];
  while (text.size() < kLargest && (file.read(block, sizeof block), file.gcount() > 0)) {
    text.append(block, static_cast<std::size_t>(file.gcount()));
  }
  // A folder opens, and fails at the first byte.
  if (file.bad() || (text.empty() && !file.eof())) return std::nullopt;
  return text;
}

}  // namespace cloze
