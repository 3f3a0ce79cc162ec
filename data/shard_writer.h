// Writes a shard pair: documents in, PREFIX.bin, PREFIX.idx and PREFIX.json out, all or nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/content_digest.h"
#include "data/shard_index.h"
#include "data/shard_manifest.h"
#include "parallel/base/file.h"

namespace cloze {

// Whose ids a pair holds.
struct ShardVocabulary {
  std::string tokenizer_digest;
  std::int64_t size = 0;
  std::int32_t eos = 0;
};

// Keeps others from writing the same output: a lock on PREFIX.lock, which lives as long as this.
class OutputLock {
 public:
  // kCannotWrite when another process holds it, or the folder cannot be written to.
  explicit OutputLock(const std::filesystem::path& prefix);
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;
  ~OutputLock();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

// What is written lies under names that end in .tmp until commit() renames it, .idx last, and a
// pair without .idx is none. So a run that ends early leaves nothing that could be taken for a
// pair, and the next run writes over what it left.
class ShardWriter {
 public:
  // Makes the folder. Replaces a pair only when it was written by this class: else, and when
  // nothing can be written there, kCannotWrite.
  ShardWriter(const std::filesystem::path& prefix, ShardVocabulary vocabulary);
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;
  ~ShardWriter();  // Removes the temporary files of what was not committed.

  // Appends one document: at least one id, then the eos, which occurs nowhere else in it.
  void append(std::span<const std::int32_t> document);

  std::int64_t num_documents() const { return static_cast<std::int64_t>(lengths_.size()); }
  std::int64_t num_tokens() const { return num_tokens_; }

  // Makes the pair visible and durable; at least one document. Nothing may be called after it.
  ShardManifest commit();

 private:
  template <typename T>
  void store(std::span<const std::int32_t> ids);
  void write_chunk();
  ShardManifest write_index_file();

  ShardPaths paths_;      // The names that commit() gives.
  ShardPaths temporary_;  // The names until then.
  ShardVocabulary vocabulary_;
  TokenType token_type_;
  OutputLock lock_;
  File bin_;
  std::vector<std::byte> chunk_;  // The bytes of .bin not yet written; less than a chunk.
  std::vector<ContentDigest> chunk_digests_;
  std::vector<std::int32_t> lengths_;  // [documents], in tokens.
  std::int64_t num_tokens_ = 0;
  std::int32_t largest_id_ = 0;
  bool committed_ = false;
};

}  // namespace cloze
