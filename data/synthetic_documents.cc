#include "data/synthetic_documents.h"

#include <algorithm>
#include <string>

#include "data/content_digest.h"
#include "parallel/base/check.h"

namespace cloze {

namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbours share no bits.
std::uint64_t mixed(std::uint64_t number) {
  number += 0x9E3779B97F4A7C15U;
  number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9U;
  number = (number ^ (number >> 27)) * 0x94D049BB133111EBU;
  return number ^ (number >> 31);
}

class SyntheticDocuments final : public Documents {
 public:
  explicit SyntheticDocuments(const SyntheticText& text) : text_(text) {
    CLOZE_CHECK(text.num_tokens > 0 && text.document_tokens > 0 && text.last_id > text.first_id,
                str(text.num_tokens, " tokens, ", text.document_tokens, " a document, ids from ",
                    text.first_id, " to ", text.last_id),
                "ask for tokens, documents and ids");
  }

  std::int64_t num_documents() const override {
    return (text_.num_tokens + text_.document_tokens - 1) / text_.document_tokens;
  }
  std::int64_t num_tokens() const override { return text_.num_tokens; }
  std::int64_t document_length(std::int64_t document) const override {
    return std::min(text_.document_tokens, text_.num_tokens - document * text_.document_tokens);
  }
  void read_tokens(std::int64_t first, std::span<std::int32_t> out) const override {
    CLOZE_CHECK(first >= 0 && first + static_cast<std::int64_t>(out.size()) <= text_.num_tokens,
                str("tokens from ", first, " on, ", out.size(), " of ", text_.num_tokens),
                "read inside the documents");
    if (out.empty()) return;
    const auto kinds = static_cast<std::uint64_t>(text_.last_id - text_.first_id);
    auto place = static_cast<std::uint64_t>(first);
    for (std::int32_t& token : out) {
      // The upper half times the number of kinds: an even draw without a division.
      const std::uint64_t draw = (mixed(text_.seed ^ place++) >> 32) * kinds >> 32;
      token = text_.first_id + static_cast<std::int32_t>(draw);
    }
    const std::int64_t last = first + static_cast<std::int64_t>(out.size());
    for (std::int64_t end = document_end(first); end <= last; end = document_end(end)) {
      out[static_cast<std::size_t>(end - 1 - first)] = text_.eos;
      if (end == text_.num_tokens) break;
    }
  }
  std::int64_t documents_without(std::int32_t eos) const override {
    return eos == text_.eos ? 0 : num_documents();
  }
  bool ends_with(std::int64_t /*document*/, std::int32_t eos) const override {
    return eos == text_.eos;
  }
  std::int64_t largest_id() const override { return std::max(text_.last_id - 1, text_.eos); }
  std::string fingerprint() const override {
    return hex_of(
        digest_of(str("synthetic ", text_.num_tokens, " ", text_.document_tokens, " ",
                      text_.first_id, " ", text_.last_id, " ", text_.eos, " ", text_.seed)));
  }
  std::string tokenizer_digest() const override { return ""; }
  std::string name() const override { return "synthetic text"; }

 private:
  // The end of the document that the token is in.
  std::int64_t document_end(std::int64_t token) const {
    return std::min((token / text_.document_tokens + 1) * text_.document_tokens, text_.num_tokens);
  }

  const SyntheticText text_;
};

}  // namespace

std::unique_ptr<const Documents> synthetic_documents(const SyntheticText& text) {
  return std::make_unique<SyntheticDocuments>(text);
}

}  // namespace cloze
