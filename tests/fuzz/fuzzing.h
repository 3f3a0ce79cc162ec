// What the fuzz targets share: properties that must hold, errors of the documented kind, files.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "tests/support/scratch_folder.h"

namespace cloze::fuzz {

// Ends the process when a property does not hold, so that the fuzzer keeps the input.
inline void require(bool holds, std::string_view property,
                    const std::source_location& place = std::source_location::current()) {
  if (holds) return;
  std::cerr << place.file_name() << ":" << place.line() << ": does not hold: " << property << "\n";
  std::abort();
}

// What `parse` gives; nothing when it refuses its input as documented: by an Error of `code` that
// says what is wrong and how to fix it. Any other exception passes, and ends the process.
template <typename Parse>
std::optional<std::invoke_result_t<Parse>> parsed(ExitCode code, const Parse& parse) {
  try {
    return parse();
  } catch (const Error& error) {
    require(error.code() == code, error.what());
    require(!error.problem().empty() && !error.fix().empty(), "an error says what and how to fix");
    return std::nullopt;
  }
}

// Between the parts of an input that is several texts.
inline constexpr char kSeparator = '\x1e';

// What stands between the separators: one part more than there are of them.
inline std::vector<std::string> parts_of(std::string_view text, char separator = kSeparator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A folder of this process. It lies where TMPDIR says, which scripts/fuzz makes memory.
class ScratchFolder : public cloze::ScratchFolder {
 public:
  ScratchFolder() : cloze::ScratchFolder("fuzz") {}

  // Makes or replaces a file of the folder.
  std::filesystem::path write(std::string_view name, std::string_view content) const {
    const std::filesystem::path path = *this / name;
    File file = File::create(path);
    file.write(content);
    file.close();
    return path;
  }
};

}  // namespace cloze::fuzz
