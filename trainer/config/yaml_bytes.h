// What is wrong with the bytes of a text before any grammar: encoding, control characters, tabs.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/load.h"

namespace cloze {

// Line and column (from 1, in characters) of a byte of UTF-8 text.
struct TextPosition {
  int line = 1;
  int column = 1;
};

// Positions of many bytes of one text, which outlives this: each costs the same in a long text as
// in a short one, so that a hostile file is told of as fast as any.
class TextPositions {
 public:
  explicit TextPositions(std::string_view text);
  TextPosition at(std::size_t byte) const;

 private:
  static constexpr std::size_t kStride = 1024;

  std::string_view text_;
  std::vector<TextPosition> marks_;  // Of every kStride-th byte.
};

// The length in bytes of the UTF-8 character at `byte`; 0 when there is none (an overlong form, a
// surrogate, a stray or missing continuation, a code point above 10FFFF).
std::size_t utf8_length(std::string_view text, std::size_t byte);

struct CheckedBytes {
  std::vector<Problem> problems;  // In the order of the text.
  std::string_view text;          // Without a byte order mark. Places are counted in it.
  // `text` with letters in place of what is wrong, as long as it was, so that the rest can be
  // judged as well; nothing when that would only mislead.
  std::optional<std::string> readable;
};

// Judges the bytes. `most_bytes` is the largest size that is read.
CheckedBytes check_yaml_bytes(std::string_view text, const std::string& file,
                              std::size_t most_bytes);

// Whether a text can be shown on one line as it is: no tab, no line end, no problem of its bytes.
bool is_plain_line(std::string_view text);

}  // namespace cloze
