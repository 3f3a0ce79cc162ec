// Tokens beside the BPE pieces, such as <sop>, and where their strings stand in a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = true;      // Not text: markers of structure. False for tokens such as <think>.
  bool normalized = false;  // Looked for after the others, in what they leave.

  bool operator==(const AddedToken&) const = default;
};

// Finds the strings of some added tokens: leftmost first, the longest of those that start there.
class AddedTokenMatcher {
 public:
  struct Match {
    std::size_t begin;
    std::size_t end;
    std::int32_t id;
    bool special;
  };

  explicit AddedTokenMatcher(std::span<const AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  // The first match that begins at `from` or later.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  std::vector<AddedToken> tokens_;          // By first byte, longer before shorter.
  std::array<std::uint32_t, 257> first_{};  // tokens_[first_[b], first_[b + 1]) start with b.
};

}  // namespace cloze
