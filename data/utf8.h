// Text that comes from outside is UTF-8 or an error.
#pragma once

#include <string_view>

namespace cloze {

// kBadInput with the offset of the first byte that is not UTF-8.
void require_utf8(std::string_view text);

}  // namespace cloze
