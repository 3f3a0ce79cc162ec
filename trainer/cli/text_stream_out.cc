#include "trainer/cli/text_stream_out.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "data/utf8.h"

namespace cloze {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD.

}  // namespace

std::string generated_bytes(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  std::vector<std::int32_t> known;
  std::ranges::copy_if(ids, std::back_inserter(known),
                       [&](std::int32_t id) { return tokenizer.has(id); });
  return tokenizer.decode(known);
}

std::string generated_text(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  const ShownText shown = replace_invalid_utf8(generated_bytes(tokenizer, ids));
  return shown.unfinished > 0 ? shown.text + std::string(kReplacement) : shown.text;
}

void TextStreamOut::text(const std::string& bytes) {
  waiting_ += bytes;
  const ShownText shown = replace_invalid_utf8(waiting_);
  std::fwrite(shown.text.data(), 1, shown.text.size(), stdout);
  std::fflush(stdout);
  waiting_.erase(0, waiting_.size() - shown.unfinished);
}

void TextStreamOut::token(std::int32_t id) { text(generated_bytes(tokenizer_, {id})); }

void TextStreamOut::finish() {
  if (!waiting_.empty()) std::fputs(kReplacement, stdout);
  waiting_.clear();
  std::fflush(stdout);
}

}  // namespace cloze
