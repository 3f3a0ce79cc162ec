// Files of /proc and /sys, whose size is not known before they are read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace cloze {

// The whole of such a file; nothing when it is not there, may not be read, or is no file. At most
// 16 MiB are read.
std::optional<std::string> system_text(const std::filesystem::path& path);

}  // namespace cloze
