// A folder of its own for a test, where TMPDIR says; it goes with the object.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace cloze {

class ScratchFolder {
 public:
  // Makes cloze-WORD-XXXXXX, with a name that nothing has.
  explicit ScratchFolder(const std::string& word = "test") {
    std::string name =
        (std::filesystem::temp_directory_path() / ("cloze-" + word + "-XXXXXX")).string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::filesystem::filesystem_error("cannot create a scratch folder", name,
                                              std::error_code(errno, std::generic_category()));
    }
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace cloze
