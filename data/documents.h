// What a token stream is read from: documents as they are stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cloze {

// Const calls may run in many threads.
class Documents {
 public:
  Documents() = default;
  Documents(const Documents&) = delete;
  Documents& operator=(const Documents&) = delete;
  virtual ~Documents() = default;

  virtual std::int64_t num_documents() const = 0;
  virtual std::int64_t num_tokens() const = 0;
  virtual std::int64_t document_length(std::int64_t document) const = 0;
  // Fills `out` from token `first` of all documents one after another.
  virtual void read_tokens(std::int64_t first, std::span<std::int32_t> out) const = 0;
  // How many documents lack `eos` at their end, empty ones among them.
  virtual std::int64_t documents_without(std::int32_t eos) const = 0;
  virtual bool ends_with(std::int64_t document, std::int32_t eos) const = 0;
  virtual std::int64_t largest_id() const = 0;
  virtual std::string fingerprint() const = 0;  // Names the content.
  // Tokenizer::digest() of the tokenizer that made the ids; empty when it is not known.
  virtual std::string tokenizer_digest() const = 0;
  virtual std::string name() const = 0;  // For messages.
};

// A tokenized shard pair; see token_shards.h.
std::unique_ptr<const Documents> open_shard_documents(const std::filesystem::path& prefix);

// Documents in memory.
std::unique_ptr<const Documents> memory_documents(
    const std::vector<std::vector<std::int32_t>>& documents);

}  // namespace cloze
