// The small steps of reading texts of /proc and /sys.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace cloze {

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
