// Byte checks that need no grammar.
#include "trainer/config/yaml_bytes.h"

#include <cstdint>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t index) {
  return static_cast<std::uint8_t>(text[index]);
}

// A problem of one character: what and fix, or nothing.
std::optional<std::pair<std::string, std::string>> fault_of(std::string_view text,
                                                            std::size_t index, bool in_indent) {
  const std::uint8_t byte = byte_at(text, index);
  if (byte == '\t' && in_indent) return {{"a tab in the indentation", "indent with spaces"}};
  if (byte == 0) return {{"a NUL byte", "remove it; is this a text file?"}};
  if (byte == '\r' && (index + 1 == text.size() || text[index + 1] != '\n')) {
    return {{"a carriage return inside a line", "end lines with a line feed"}};
  }
  const bool is_space = byte == '\t' || byte == '\n' || byte == '\r';
  if ((byte < 0x20 && !is_space) || byte == 0x7f) {
    return {{"a control character", "remove it; is this a text file?"}};
  }
  if (utf8_length(text, index) == 0) {
    return {{"a byte that is not UTF-8", "save the file as UTF-8"}};
  }
  return std::nullopt;
}

}  // namespace

TextPosition position_of(std::string_view text, std::size_t byte) {
  TextPosition position;
  for (std::size_t index = 0; index < byte && index < text.size(); ++index) {
    if (text[index] == '\n') {
      ++position.line;
      position.column = 1;
    } else if ((byte_at(text, index) & 0xC0U) != 0x80U) {
      ++position.column;
    }
  }
  // A byte inside a character counts as that character.
  if (byte < text.size() && (byte_at(text, byte) & 0xC0U) == 0x80U && position.column > 1) {
    --position.column;
  }
  return position;
}

std::size_t utf8_length(std::string_view text, std::size_t byte) {
  const std::uint8_t first = byte_at(text, byte);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  std::uint32_t code = 0;
  std::uint32_t least = 0;
  if ((first & 0xE0U) == 0xC0U) {
    length = 2;
    code = first & 0x1FU;
    least = 0x80;
  } else if ((first & 0xF0U) == 0xE0U) {
    length = 3;
    code = first & 0x0FU;
    least = 0x800;
  } else if ((first & 0xF8U) == 0xF0U) {
    length = 4;
    code = first & 0x07U;
    least = 0x10000;
  } else {
    return 0;
  }
  if (byte + length > text.size()) return 0;
  for (std::size_t index = 1; index < length; ++index) {
    const std::uint8_t next = byte_at(text, byte + index);
    if ((next & 0xC0U) != 0x80U) return 0;
    code = (code << 6) | (next & 0x3FU);
  }
  const bool is_surrogate = code >= 0xD800 && code < 0xE000;
  return code < least || code > 0x10FFFF || is_surrogate ? 0 : length;
}

std::optional<Problem> check_yaml_bytes(std::string_view text, const std::string& file,
                                        std::size_t most_bytes) {
  if (text.size() > most_bytes) {
    return Problem{file, 1, 1, str("the file has ", text.size(), " bytes, more than ", most_bytes),
                   "a config has a few thousand bytes; is this the right file?"};
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    return Problem{file, 1, 1, "the file begins with a byte order mark", "save it as plain UTF-8"};
  }
  bool in_indent = true;
  for (std::size_t index = 0; index < text.size();) {
    if (const auto fault = fault_of(text, index, in_indent)) {
      const TextPosition at = position_of(text, index);
      return Problem{file, at.line, at.column, fault->first, fault->second};
    }
    in_indent = text[index] == '\n' || (in_indent && text[index] == ' ');
    index += utf8_length(text, index);
  }
  return std::nullopt;
}

}  // namespace cloze
