// Texts of /proc and /sys, which may be absent, and the small steps of reading them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

// The whole of a file of /proc, /sys or the like, whose size is not known before; nothing when it
// is not there, may not be read, or is no file. At most 16 MiB are read.
std::optional<std::string> system_text(const std::filesystem::path& path);

// Without spaces, tabs and line ends at both ends.
std::string_view trimmed(std::string_view text);

// The lines, without their ends.
std::vector<std::string_view> lines_of(std::string_view text);

// The words between spaces and tabs.
std::vector<std::string_view> words_of(std::string_view text);

// What stands between the separators; none of an empty text.
std::vector<std::string_view> parts_of(std::string_view text, char separator);

// A whole decimal number and nothing else; nothing for other text or one beyond int64_t.
std::optional<std::int64_t> number_of(std::string_view text);

}  // namespace cloze
