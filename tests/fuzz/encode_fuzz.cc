// Text through the tokenizers of tests/golden: encoding refuses what is not UTF-8 at the byte that
// another reader names; else the ids decode to the text, the remembering encoder gives the same
// ids, and the hand-written scanner cuts the words that PCRE2 cuts, as far as its Unicode goes.
#include <vector>

#include "data/split_pattern.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "tests/fuzz/fuzzing.h"
#include "trainer/config/yaml_bytes.h"

namespace cloze::fuzz {
namespace {

// The first byte that is not UTF-8, by the config's reader; the size when there is none.
std::size_t valid_bytes(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::vector<std::string_view> words_of(const SplitPattern& pattern, std::string_view text) {
  std::vector<std::string_view> words;
  WordScanner scanner(pattern);
  scanner.start(text);
  while (const auto word = scanner.next()) words.push_back(*word);
  return words;
}

// Whether PCRE2's Unicode knows all the characters; the scanner's is newer.
bool is_assigned(std::string_view text) {
  static const SplitPattern unassigned(R"(\p{Cn})", SplitEngine::kPcre2);
  // What matches is a word apart from the character before it.
  return words_of(unassigned, "\x01" + std::string(text)).size() == 1;
}

void check_words(std::string_view text) {
  static const SplitPattern scanned(kGlmSplitPattern);
  static const SplitPattern matched(kGlmSplitPattern, SplitEngine::kPcre2);
  const std::vector<std::string_view> words = words_of(scanned, text);
  require(!is_assigned(text) || words == words_of(matched, text), "the scanner cuts as PCRE2 does");
  std::size_t covered = 0;
  for (const std::string_view word : words) {
    require(!word.empty() && word.data() == text.data() + covered, "words follow each other");
    covered += word.size();
  }
  require(covered == text.size(), "words cover the text");
}

class Pair {
 public:
  explicit Pair(const char* name)
      : tokenizer_(Tokenizer::load(std::filesystem::path(CLOZE_SOURCE_DIR) /
                                   "tests/golden/tokenizer" / name)),
        encoder_(tokenizer_) {}

  void check(std::string_view text) {
    const std::size_t valid = valid_bytes(text);
    const auto ids = parsed(ExitCode::kBadInput, [&] { return tokenizer_.encode(text); });
    require(ids.has_value() == (valid == text.size()), "what is UTF-8 is encoded, and no more");
    require(find_invalid_utf8(text).value_or(text.size()) == valid, "both name the same byte");
    if (!ids) return;
    require(tokenizer_.decode(*ids, /*skip_special=*/false) == text, "ids decode to the text");
    const auto marked = tokenizer_.encode(text, /*parse_special=*/true);
    require(tokenizer_.decode(marked, /*skip_special=*/false) == text, "so do marked ids");
    for (int round = 0; round < 2; ++round) {  // The second time from memory.
      std::vector<std::int32_t> remembered;
      encoder_.encode(text, remembered);
      require(remembered == *ids, "the remembering encoder gives the same ids");
    }
  }

 private:
  Tokenizer tokenizer_;
  Tokenizer::Encoder encoder_;
};

void run(std::string_view text) {
  static Pair glm("glm");
  static Pair foreign("foreign");
  glm.check(text);
  foreign.check(text);
  if (valid_bytes(text) == text.size()) check_words(text);
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
