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
  // kUnread: a value that is not accepted, of which a problem was told.
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap, kUnread };
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

struct ParsedYaml {
  std::optional<YamlNode> root;
  bool is_whole = true;  // Else the text could not be read to its end; `root` is what came before.
};

// The tree of `text`. What is not accepted, such as doubled keys, anchors and bad bytes, is
// reported and the rest is read on. `file` is the name that problems show.
ParsedYaml parse_yaml(std::string_view text, const std::string& file,
                      std::vector<Problem>& problems);

}  // namespace cloze
