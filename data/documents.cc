// Documents of a shard pair, and documents in memory.
#include "data/documents.h"

#include <algorithm>
#include <utility>

#include "data/content_digest.h"
#include "data/token_shards.h"
#include "parallel/base/check.h"

namespace cloze {

namespace {

class ShardDocuments final : public Documents {
 public:
  explicit ShardDocuments(TokenShards shards) : shards_(std::move(shards)) {}

  std::int64_t num_documents() const override { return shards_.num_documents(); }
  std::int64_t num_tokens() const override { return shards_.num_tokens(); }
  std::int64_t document_length(std::int64_t document) const override {
    return shards_.document_length(document);
  }
  void read_tokens(std::int64_t first, std::span<std::int32_t> out) const override {
    shards_.read_tokens(first, out);
  }
  std::int64_t documents_without(std::int32_t eos) const override {
    return shards_.documents_without(eos);
  }
  bool ends_with(std::int64_t document, std::int32_t eos) const override {
    return shards_.ends_with(document, eos);
  }
  std::int64_t largest_id() const override { return shards_.largest_id(); }
  std::string fingerprint() const override { return shards_.fingerprint(); }
  std::string tokenizer_digest() const override {
    return shards_.manifest() == nullptr ? "" : shards_.manifest()->tokenizer_digest;
  }
  std::string name() const override { return shards_.prefix().string(); }

 private:
  TokenShards shards_;
};

class MemoryDocuments final : public Documents {
 public:
  explicit MemoryDocuments(const std::vector<std::vector<std::int32_t>>& documents) {
    starts_.push_back(0);
    for (const std::vector<std::int32_t>& document : documents) {
      tokens_.insert(tokens_.end(), document.begin(), document.end());
      starts_.push_back(static_cast<std::int64_t>(tokens_.size()));
    }
  }

  std::int64_t num_documents() const override {
    return static_cast<std::int64_t>(starts_.size()) - 1;
  }
  std::int64_t num_tokens() const override { return starts_.back(); }
  std::int64_t document_length(std::int64_t document) const override {
    return start(document + 1) - start(document);
  }
  void read_tokens(std::int64_t first, std::span<std::int32_t> out) const override {
    CLOZE_CHECK(first >= 0 && first + static_cast<std::int64_t>(out.size()) <= num_tokens(),
                str("tokens from ", first, " on, ", out.size(), " of ", num_tokens()),
                "read inside the documents");
    std::copy_n(tokens_.begin() + first, out.size(), out.begin());
  }
  std::int64_t documents_without(std::int32_t eos) const override {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < num_documents(); ++i) count += ends_with(i, eos) ? 0 : 1;
    return count;
  }
  bool ends_with(std::int64_t document, std::int32_t eos) const override {
    return document_length(document) > 0 &&
           tokens_[static_cast<std::size_t>(start(document + 1) - 1)] == eos;
  }
  std::int64_t largest_id() const override {
    return tokens_.empty() ? -1 : *std::ranges::max_element(tokens_);
  }
  std::string fingerprint() const override {
    std::string text;
    for (const std::int64_t start : starts_) text += str(start, " ");
    for (const std::int32_t token : tokens_) text += str(token, " ");
    return hex_of(digest_of(text));
  }
  std::string tokenizer_digest() const override { return ""; }
  std::string name() const override { return "documents in memory"; }

 private:
  std::int64_t start(std::int64_t document) const {
    return starts_[static_cast<std::size_t>(document)];
  }

  std::vector<std::int32_t> tokens_;
  std::vector<std::int64_t> starts_;  // [documents + 1]
};

}  // namespace

std::unique_ptr<const Documents> open_shard_documents(const std::filesystem::path& prefix) {
  return std::make_unique<ShardDocuments>(TokenShards::open(prefix));
}

std::unique_ptr<const Documents> memory_documents(
    const std::vector<std::vector<std::int32_t>>& documents) {
  return std::make_unique<MemoryDocuments>(documents);
}

}  // namespace cloze
