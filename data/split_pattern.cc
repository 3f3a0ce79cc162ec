// The GLM pattern as a scanner over character classes, and PCRE2 for every other pattern.
#include "data/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "data/unicode_classes.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

enum CharacterKind : std::uint8_t { kOther, kLetter, kNumber, kSpace, kNewline, kEnd };

constexpr std::size_t kLongestRegex = 4096;

std::vector<std::uint8_t> make_classes() {
  const std::uint32_t end = std::max({letter_ranges().back().last, number_ranges().back().last,
                                      space_ranges().back().last}) +
                            1;
  std::vector<std::uint8_t> classes(end, kOther);
  const auto paint = [&](std::span<const CodePointRange> ranges, CharacterKind kind) {
    for (const CodePointRange range : ranges) {
      std::fill(classes.begin() + range.first, classes.begin() + range.last + 1, kind);
    }
  };
  paint(letter_ranges(), kLetter);
  paint(number_ranges(), kNumber);
  paint(space_ranges(), kSpace);
  classes['\r'] = kNewline;
  classes['\n'] = kNewline;
  return classes;
}

// PCRE2's \s has one character more than Unicode's white space, U+180E.
std::string with_unicode_spaces(std::string_view regex) {
  std::string result;
  for (std::size_t at = 0; at < regex.size(); ++at) {
    const std::string_view escape = regex.substr(at, 2);
    if (regex[at] != '\\' || escape.size() < 2) {
      result += regex[at];
      continue;
    }
    if (escape == R"(\s)") {
      result += R"(\p{White_Space})";
    } else if (escape == R"(\S)") {
      result += R"(\P{White_Space})";
    } else {
      result += escape;
    }
    ++at;
  }
  return result;
}

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(code, message.data(), message.size());
  return reinterpret_cast<const char*>(message.data());
}

// Bytes of the UTF-8 character that `lead` opens.
std::size_t bytes_of_character(char lead) {
  const auto byte = static_cast<std::uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

struct SplitPattern::Compiled {
  explicit Compiled(pcre2_code* compiled) : code(compiled) {}
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() { pcre2_code_free(code); }

  pcre2_code* code;
};

SplitPattern::SplitPattern(std::string_view regex, SplitEngine engine) : regex_(regex) {
  if (engine == SplitEngine::kFastest && regex == kGlmSplitPattern) {
    classes_ = make_classes();
    return;
  }
  CLOZE_REQUIRE(regex.size() <= kLongestRegex, ExitCode::kBadInput,
                str("a split pattern of ", regex.size(), " bytes is too long"),
                str("use a pattern of at most ", kLongestRegex, " bytes"));
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::string source = with_unicode_spaces(regex);
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  CLOZE_REQUIRE(
      code != nullptr, ExitCode::kBadInput,
      str("split pattern \"", source, "\", character ", offset, ": ", pcre2_message(error)),
      "correct the pattern of the tokenizer's Split pre-tokenizer");
  compiled_ = std::make_unique<Compiled>(code);
  // Where the machine has no JIT, matching falls back to the interpreter by itself.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

SplitPattern::SplitPattern(SplitPattern&& other) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&& other) noexcept = default;
SplitPattern::~SplitPattern() = default;

// What a thread needs to match: PCRE2's workspace and the match that was found ahead.
struct WordScanner::Match {
  explicit Match(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
    CLOZE_CHECK(data != nullptr, "no memory for a match of the split pattern", "free memory");
  }
  Match(const Match&) = delete;
  Match& operator=(const Match&) = delete;
  ~Match() { pcre2_match_data_free(data); }

  pcre2_match_data* data;
  std::size_t begin = 0;  // Of the match that ends at `end`; the next word when begin >= at_.
  std::size_t end = 0;
};

WordScanner::WordScanner(const SplitPattern& pattern) : pattern_(&pattern) {
  if (pattern.compiled_ != nullptr) match_ = std::make_unique<Match>(pattern.compiled_->code);
}

WordScanner::WordScanner(WordScanner&& other) noexcept = default;
WordScanner& WordScanner::operator=(WordScanner&& other) noexcept = default;
WordScanner::~WordScanner() = default;

void WordScanner::start(std::string_view text) {
  text_ = text;
  at_ = 0;
  if (match_ != nullptr) match_->begin = match_->end = 0;
}

std::size_t WordScanner::match_word() {
  if (match_->end > at_) return match_->end;  // The match that the last call found ahead.
  std::size_t from = at_;
  while (from < text_.size()) {
    const auto match = [&](std::uint32_t options) {
      return pcre2_match(pattern_->compiled_->code, reinterpret_cast<PCRE2_SPTR>(text_.data()),
                         text_.size(), from, options | PCRE2_NO_UTF_CHECK, match_->data, nullptr);
    };
    int result = match(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) break;
    CLOZE_REQUIRE(result > 0, ExitCode::kBadInput,
                  str("split pattern \"", pattern_->regex(), "\" gave up at byte ", from,
                      " of a text: ", pcre2_message(result)),
                  "use a pattern that needs less backtracking");
    const PCRE2_SIZE* const span = pcre2_get_ovector_pointer(match_->data);
    if (span[1] == span[0]) {  // An empty match cuts nothing.
      from = span[1] < text_.size() ? span[1] + bytes_of_character(text_[span[1]]) : text_.size();
      continue;
    }
    match_->begin = span[0];
    match_->end = span[1];
    return match_->begin > at_ ? match_->begin : match_->end;
  }
  return text_.size();
}

// Everything below is the GLM pattern, alternative by alternative. The text is valid UTF-8.

WordScanner::Character WordScanner::character_at(std::size_t at) const {
  if (at >= text_.size()) return {kEnd, 0};
  const auto byte = [&](std::size_t offset) {
    return static_cast<std::uint32_t>(static_cast<std::uint8_t>(text_[at + offset]));
  };
  const std::uint32_t lead = byte(0);
  const std::vector<std::uint8_t>& classes = pattern_->classes_;
  if (lead < 0x80) return {classes[lead], 1};
  if (lead < 0xE0) return {classes[((lead & 0x1FU) << 6) | (byte(1) & 0x3FU)], 2};
  if (lead < 0xF0) {
    return {classes[((lead & 0xFU) << 12) | ((byte(1) & 0x3FU) << 6) | (byte(2) & 0x3FU)], 3};
  }
  const std::uint32_t code_point = ((lead & 0x7U) << 18) | ((byte(1) & 0x3FU) << 12) |
                                   ((byte(2) & 0x3FU) << 6) | (byte(3) & 0x3FU);
  return {code_point < classes.size() ? classes[code_point] : std::uint8_t{kOther}, 4};
}

std::size_t WordScanner::run_end(std::size_t at, std::uint8_t kind) const {
  for (;;) {
    const Character character = character_at(at);
    if (character.kind != kind) return at;
    at += character.bytes;
  }
}

std::size_t WordScanner::scan_glm_word() const {
  const Character first = character_at(at_);
  const std::size_t after = at_ + first.bytes;
  switch (first.kind) {
    case kLetter:  // [^\r\n\p{L}\p{N}]?\p{L}+
      return run_end(after, kLetter);
    case kNumber: {  // \p{N}{1,3}
      std::size_t end = after;
      for (int more = 0; more < 2; ++more) {
        const Character digit = character_at(end);
        if (digit.kind != kNumber) break;
        end += digit.bytes;
      }
      return end;
    }
    case kNewline:
      return spaces_end(at_);
    default:
      break;
  }
  if (text_[at_] == '\'') {
    if (const std::size_t end = contraction_end(at_); end != at_) return end;
  }
  const Character second = character_at(after);
  if (second.kind == kLetter) return run_end(after + second.bytes, kLetter);
  if (first.kind == kOther) return others_end(at_);
  if (text_[at_] == ' ' && second.kind == kOther) return others_end(after);
  return spaces_end(at_);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d). Without case, s is also U+017F, the long s.
std::size_t WordScanner::contraction_end(std::size_t at) const {
  const auto lower = [&](std::size_t place) {
    return place < text_.size() ? static_cast<char>(text_[place] | 0x20) : '\0';
  };
  const char first = lower(at + 1);
  switch (first) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return at + 2;
    case 'r':
    case 'v':
      return lower(at + 2) == 'e' ? at + 3 : at;
    case 'l':
      return lower(at + 2) == 'l' ? at + 3 : at;
    default:
      return text_.substr(at + 1, 2) == "\u017F" ? at + 3 : at;
  }
}

//  ?[^\s\p{L}\p{N}]+[\r\n]*, from the first character that is not the blank.
std::size_t WordScanner::others_end(std::size_t at) const {
  return run_end(run_end(at, kOther), kNewline);
}

// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t WordScanner::spaces_end(std::size_t at) const {
  std::size_t end = at;
  std::size_t last = at;          // Where the last character of the run starts.
  std::size_t newlines_end = at;  // After the last newline of the run.
  for (;;) {
    const Character character = character_at(end);
    if (character.kind != kSpace && character.kind != kNewline) break;
    last = end;
    end += character.bytes;
    if (character.kind == kNewline) newlines_end = end;
  }
  if (newlines_end > at) return newlines_end;
  // The last blank before a word belongs to the word, unless it is the only one: then the word
  // has already refused it.
  return end == text_.size() || last == at ? end : last;
}

}  // namespace cloze
