// Text that comes from outside is UTF-8 or an error.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cloze {

// The offset of the first byte that is not UTF-8; nothing when all is.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// kBadInput with the offset of the first byte that is not UTF-8.
void require_utf8(std::string_view text);

// Bytes as text that can be shown.
struct ShownText {
  std::string text;            // Valid UTF-8.
  std::size_t unfinished = 0;  // Bytes at the end that begin a character; not in `text`.
};

// U+FFFD stands for each longest beginning of a character that does not go on as one, as Unicode
// recommends and the decoders of Python and Rust do.
ShownText replace_invalid_utf8(std::string_view bytes);

}  // namespace cloze
