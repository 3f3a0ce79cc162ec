// A file that is written piece by piece and takes its name when it is whole.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "parallel/base/file.h"

namespace cloze {

class ReplacingFile {
 public:
  explicit ReplacingFile(const std::filesystem::path& path);
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;
  ~ReplacingFile();  // Not committed: nothing is left, and what had the name before stays.

  void write(std::string_view text);
  void commit();

 private:
  const std::filesystem::path path_;
  const std::filesystem::path temporary_;
  File file_;
  std::string buffer_;
  bool committed_ = false;
};

}  // namespace cloze
