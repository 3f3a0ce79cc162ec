// Words in one text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cloze {

// "a, b, c"
std::string join(const std::vector<std::string>& words, std::string_view separator = ", ");

}  // namespace cloze
