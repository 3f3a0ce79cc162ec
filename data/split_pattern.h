// Cuts text into the words that byte-pair merges never cross, by a tokenizer's split pattern.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

// GLM-4's pattern and those of all later models of the family (tiktoken's cl100k_base).
inline constexpr std::string_view kGlmSplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

// What a ByteLevel pre-tokenizer splits by when it has no pattern of its own (GPT-2).
inline constexpr std::string_view kByteLevelSplitPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

enum class SplitEngine : std::uint8_t {
  kFastest,  // A hand-written scanner for the GLM pattern, PCRE2 for any other.
  kPcre2,    // Always PCRE2: what tests hold the scanner to.
};

// A compiled pattern; any number of threads may use one at once, each through a WordScanner.
class SplitPattern {
 public:
  // kBadInput when PCRE2 does not accept the pattern.
  explicit SplitPattern(std::string_view regex, SplitEngine engine = SplitEngine::kFastest);
  SplitPattern(SplitPattern&& other) noexcept;
  SplitPattern& operator=(SplitPattern&& other) noexcept;
  ~SplitPattern();

  const std::string& regex() const { return regex_; }

 private:
  friend class WordScanner;
  struct Compiled;

  std::string regex_;
  std::vector<std::uint8_t> classes_;   // Of a code point; empty when PCRE2 does the work.
  std::unique_ptr<Compiled> compiled_;  // Null when the scanner does.
};

// Walks over the words of a text. The words cover the text; what the pattern does not match
// stands as a word between two matches. The pattern must outlive the scanner.
class WordScanner {
 public:
  explicit WordScanner(const SplitPattern& pattern);
  WordScanner(WordScanner&& other) noexcept;
  WordScanner& operator=(WordScanner&& other) noexcept;
  ~WordScanner();

  void start(std::string_view text);  // Valid UTF-8, alive until the last next().
  // The next word; none at the end of the text.
  std::optional<std::string_view> next() {
    if (at_ == text_.size()) return std::nullopt;
    const std::size_t end = match_ == nullptr ? scan_glm_word() : match_word();
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    return word;
  }

 private:
  struct Match;
  struct Character {
    std::uint8_t kind;
    std::uint8_t bytes;  // 1 to 4; 0 at the end of the text.
  };

  std::size_t scan_glm_word() const;  // Each returns where the word at at_ ends.
  std::size_t match_word();

  Character character_at(std::size_t at) const;
  std::size_t run_end(std::size_t at, std::uint8_t kind) const;
  std::size_t contraction_end(std::size_t at) const;
  std::size_t others_end(std::size_t at) const;
  std::size_t spaces_end(std::size_t at) const;

  const SplitPattern* pattern_;
  std::unique_ptr<Match> match_;  // Null when the scanner does the work.
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace cloze
