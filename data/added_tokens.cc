// Search by the first byte: added tokens are few and start with rare characters.
#include "data/added_tokens.h"

#include <algorithm>

namespace cloze {
namespace {

std::uint8_t first_byte(const AddedToken& token) {
  return static_cast<std::uint8_t>(token.content.front());
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::span<const AddedToken> tokens)
    : tokens_(tokens.begin(), tokens.end()) {
  std::ranges::sort(tokens_, [](const AddedToken& a, const AddedToken& b) {
    if (first_byte(a) != first_byte(b)) return first_byte(a) < first_byte(b);
    if (a.content.size() != b.content.size()) return a.content.size() > b.content.size();
    return a.content < b.content;
  });
  for (const AddedToken& token : tokens_) ++first_[std::size_t{first_byte(token)} + 1];
  for (std::size_t byte = 0; byte < 256; ++byte) first_[byte + 1] += first_[byte];
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                std::size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (std::size_t at = from; at < text.size(); ++at) {
    const auto byte = static_cast<std::uint8_t>(text[at]);
    for (std::uint32_t i = first_[byte]; i < first_[std::size_t{byte} + 1]; ++i) {
      const AddedToken& token = tokens_[i];
      if (text.substr(at).starts_with(token.content)) {
        return Match{at, at + token.content.size(), token.id, token.special};
      }
    }
  }
  return std::nullopt;
}

}  // namespace cloze
