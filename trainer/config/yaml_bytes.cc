// Byte checks that need no grammar.
#include "trainer/config/yaml_bytes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t index) {
  return static_cast<std::uint8_t>(text[index]);
}

bool is_continuation(std::uint8_t byte) { return (byte & 0xC0U) == 0x80U; }

// Steps over one byte. The first byte of a character is the one that counts.
void advance(std::string_view text, std::size_t index, TextPosition& position) {
  if (text[index] == '\n') {
    ++position.line;
    position.column = 1;
  } else if (!is_continuation(byte_at(text, index))) {
    ++position.column;
  }
}

// The code point of the valid character of `length` bytes at `index`.
std::uint32_t code_point(std::string_view text, std::size_t index, std::size_t length) {
  constexpr std::array<std::uint8_t, 5> kBitsOfFirst = {0, 0x7F, 0x1F, 0x0F, 0x07};
  std::uint32_t code = byte_at(text, index) & kBitsOfFirst[length];
  for (std::size_t more = 1; more < length; ++more) {
    code = (code << 6U) | (byte_at(text, index + more) & 0x3FU);
  }
  return code;
}

// Characters that some YAML readers take for line ends, and those that change the order in which
// the others are shown: with them a reader would see another config than the program.
bool is_deceptive(std::uint32_t code) {
  const bool is_line_end = (code >= 0x80 && code < 0xA0) || code == 0x2028 || code == 0x2029;
  const bool is_direction = code == 0x61C || code == 0x200E || code == 0x200F ||
                            (code >= 0x202A && code <= 0x202E) ||
                            (code >= 0x2066 && code <= 0x2069);
  return is_line_end || is_direction || code == 0xFEFF;
}

struct Fault {
  std::string what;
  std::string fix;
};

constexpr const char* kTabInIndent = "a tab in the indentation";

// What is wrong with one character, or nothing.
std::optional<Fault> fault_of(std::string_view text, std::size_t index, bool in_indent) {
  const std::uint8_t byte = byte_at(text, index);
  if (byte == '\t' && in_indent) return Fault{kTabInIndent, "indent with spaces"};
  if (byte == 0) return Fault{"a NUL byte", "remove it; is this a text file?"};
  if (byte == '\r' && (index + 1 == text.size() || text[index + 1] != '\n')) {
    return Fault{"a carriage return inside a line", "end lines with a line feed"};
  }
  const bool is_space = byte == '\t' || byte == '\n' || byte == '\r';
  if ((byte < 0x20 && !is_space) || byte == 0x7f) {
    return Fault{"a control character", "remove it; is this a text file?"};
  }
  const std::size_t length = utf8_length(text, index);
  if (length == 0) return Fault{"a byte that is not UTF-8", "save the file as UTF-8"};
  if (length > 1 && is_deceptive(code_point(text, index, length))) {
    return Fault{"an invisible character that changes how the line is read or shown", "remove it"};
  }
  return std::nullopt;
}

// A letter of so many bytes.
std::string_view letter_of(std::size_t length) {
  return length == 3 ? "\uFFFD" : length == 2 ? "\u00D7" : "x";
}

}  // namespace

TextPositions::TextPositions(std::string_view text) : text_(text) {
  TextPosition position;
  for (std::size_t index = 0; index < text.size(); ++index) {
    if (index % kStride == 0) marks_.push_back(position);
    advance(text, index, position);
  }
  if (text.size() % kStride == 0) marks_.push_back(position);
}

TextPosition TextPositions::at(std::size_t byte) const {
  byte = std::min(byte, text_.size());
  TextPosition position = marks_[byte / kStride];
  for (std::size_t index = byte / kStride * kStride; index < byte; ++index) {
    advance(text_, index, position);
  }
  // A byte inside a character counts as that character.
  const bool is_inside = byte < text_.size() && is_continuation(byte_at(text_, byte));
  if (is_inside && position.column > 1) --position.column;
  return position;
}

std::size_t utf8_length(std::string_view text, std::size_t byte) {
  const std::uint8_t first = byte_at(text, byte);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  std::uint32_t least = 0;
  if ((first & 0xE0U) == 0xC0U) {
    length = 2;
    least = 0x80;
  } else if ((first & 0xF0U) == 0xE0U) {
    length = 3;
    least = 0x800;
  } else if ((first & 0xF8U) == 0xF0U) {
    length = 4;
    least = 0x10000;
  } else {
    return 0;
  }
  if (byte + length > text.size()) return 0;
  for (std::size_t index = 1; index < length; ++index) {
    if (!is_continuation(byte_at(text, byte + index))) return 0;
  }
  const std::uint32_t code = code_point(text, byte, length);
  const bool is_surrogate = code >= 0xD800 && code < 0xE000;
  return code < least || code > 0x10FFFF || is_surrogate ? 0 : length;
}

CheckedBytes check_yaml_bytes(std::string_view text, const std::string& file,
                              std::size_t most_bytes) {
  constexpr std::size_t kMostFaults = 100;
  CheckedBytes checked;
  std::vector<Problem>& problems = checked.problems;
  if (text.size() > most_bytes) {
    problems.push_back({file, 1, 1,
                        str("the file has ", text.size(), " bytes, more than ", most_bytes),
                        "a config has a few thousand bytes; is this the right file?"});
    return checked;
  }
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.starts_with(kMark)) {
    problems.push_back(
        {file, 1, 1, "the file begins with a byte order mark", "save it as plain UTF-8"});
    text.remove_prefix(kMark.size());
  }
  checked.text = text;
  std::string readable(text);
  std::optional<TextPositions> positions;
  bool in_indent = true;
  bool misleads = false;  // What the indentation means cannot be known.
  std::string before;     // What was wrong with the character before: a run of them is one problem.
  for (std::size_t index = 0; index < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text, index));
    const std::optional<Fault> fault = fault_of(text, index, in_indent);
    if (fault && fault->what != before) {
      if (problems.size() == kMostFaults) return checked;
      if (!positions) positions.emplace(text);
      const TextPosition at = positions->at(index);
      problems.push_back({file, at.line, at.column, fault->what, fault->fix});
    }
    before = fault ? fault->what : "";
    if (fault) {
      misleads = misleads || fault->what == kTabInIndent;
      readable.replace(index, length, letter_of(length));
    }
    in_indent = text[index] == '\n' || (in_indent && text[index] == ' ');
    index += length;
  }
  if (!misleads) checked.readable = std::move(readable);
  return checked;
}

bool is_plain_line(std::string_view text) {
  return text.find_first_of("\t\r\n") == std::string_view::npos &&
         check_yaml_bytes(text, "", text.size()).problems.empty();
}

}  // namespace cloze
