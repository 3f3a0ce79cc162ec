// The byte-level alphabet of GPT-2: each byte is written as one printable character, so that
// pieces of any bytes fit in a JSON string. 188 bytes are their own Latin-1 character; the other
// 68 become U+0100 onward, in byte order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cloze {

// "ab \n" -> "abĠĊ".
std::string to_byte_level(std::string_view bytes);

// The bytes that `text` stands for; none when a character is not of the alphabet or `text` is
// not UTF-8.
std::optional<std::string> from_byte_level(std::string_view text);

// The 256 bytes in the order of their characters: the order of ids 0..255 in GLM-4's vocabulary
// and in those we train.
std::array<std::uint8_t, 256> byte_level_order();

}  // namespace cloze
