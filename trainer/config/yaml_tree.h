// YAML text as a tree that knows where everything was written. Only the plain part of YAML is
// accepted: maps, lists and scalars on one line, without anchors, aliases, tags and several
// documents, so that what a reader sees is what the program reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/load.h"

namespace cloze {

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;         // From 1.
  int column = 0;       // From 1, characters.
  std::string text;     // Of a scalar.
  bool quoted = false;  // Whether the scalar stood in quotes.
  // Of an entry of a map: its key, where it was written, and the doubled keys dropped.
  std::string key;
  int key_line = 0;
  int key_column = 0;
  std::vector<YamlNode> children;  // Entries of a map, items of a list.
};

inline constexpr std::size_t kLargestConfigBytes = 1 << 20;
inline constexpr int kDeepestConfig = 16;  // Maps and lists inside one another.

// The tree of `text`; nothing when it cannot be read at all. Doubled keys, missing values and the
// like are reported and the rest is read on. `file` is the name that problems show.
std::optional<YamlNode> parse_yaml(std::string_view text, const std::string& file,
                                   std::vector<Problem>& problems);

}  // namespace cloze
