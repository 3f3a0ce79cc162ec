// Text that comes from outside is UTF-8 or an error.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace cloze {

// The offset of the first byte that is not UTF-8; nothing when all is.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// kBadInput with the offset of the first byte that is not UTF-8.
void require_utf8(std::string_view text);

}  // namespace cloze
