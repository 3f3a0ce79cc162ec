// A tokenized shard pair (Megatron's indexed dataset), opened read-only.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/content_digest.h"
#include "data/shard_index.h"
#include "data/shard_manifest.h"
#include "parallel/base/file.h"

namespace cloze {

// A Megatron .bin/.idx pair. Documents are the entries of the document index: each is one
// interval of the token stream. Reads go through pread, so a file that shrinks while it is read
// is an Error and no signal; const calls may run in many threads.
class TokenShards {
 public:
  // `prefix` is PREFIX, PREFIX.idx or PREFIX.bin. Checks magic, version, dtype, sizes, offsets,
  // document index and, when PREFIX.json exists, that it fits them: kBadInput otherwise, also
  // for a pair without tokens. A pair without PREFIX.json is read once from end to end for its
  // largest id and digests; that is said on stderr, or on `notices` unless null.
  static TokenShards open(const std::filesystem::path& prefix);
  static TokenShards open(const std::filesystem::path& prefix, std::ostream* notices);

  const std::filesystem::path& prefix() const { return prefix_; }
  TokenType token_type() const { return token_type_; }
  std::int64_t num_documents() const {
    return static_cast<std::int64_t>(document_starts_.size()) - 1;
  }
  std::int64_t num_tokens() const { return document_starts_.back(); }  // As stored in .bin.

  // Tokens as stored, the eos included when the writer put it; may be 0 in foreign pairs.
  std::int64_t document_length(std::int64_t document) const {
    return document_start(document + 1) - document_start(document);
  }
  // The place of a document's first token in the stream of all; document may be num_documents().
  std::int64_t document_start(std::int64_t document) const;

  // Fills `out` with tokens [first, first + out.size()) of the document, or of the whole stream.
  // The 1 MiB chunks touched for the first time are checked against their digests: kBadInput
  // names the chunk.
  void read_document(std::int64_t document, std::int64_t first, std::span<std::int32_t> out) const;
  void read_tokens(std::int64_t first, std::span<std::int32_t> out) const;

  std::int64_t largest_id() const { return largest_id_; }
  // Hexadecimal; names the content of the pair, with or without a manifest.
  const std::string& fingerprint() const { return fingerprint_; }

  bool has_manifest() const { return manifest_.has_value(); }
  // Null for a foreign pair.
  const ShardManifest* manifest() const { return manifest_ ? &*manifest_ : nullptr; }

  // How many documents do not end with `eos` (an empty one does not): these need it added.
  std::int64_t documents_without(std::int32_t eos) const;
  bool ends_with(std::int64_t document, std::int32_t eos) const;

  // Reads everything: all digests, all ids against largest_id(), all document ends against the
  // manifest. kBadInput names the first fault.
  void verify() const;

 private:
  TokenShards(std::filesystem::path prefix, File bin, ShardIndex index);

  void accept_manifest(const std::string& text, const ContentDigest& idx_digest,
                       std::int64_t idx_bytes);
  void scan(const ContentDigest& idx_digest);
  void check_chunk(std::int64_t chunk) const;

  std::filesystem::path prefix_;
  File bin_;
  TokenType token_type_;
  std::vector<std::int64_t> document_starts_;  // [documents + 1], in tokens.
  std::optional<ShardManifest> manifest_;
  std::vector<ContentDigest> chunk_digests_;  // Of a foreign pair, as they were at open.
  std::vector<std::int32_t> last_ids_;        // Of a foreign pair's documents; -1 where empty.
  std::unique_ptr<std::atomic<bool>[]> chunk_checked_;  // Touched and found good.
  std::int64_t largest_id_ = 0;
  std::string fingerprint_;
};

}  // namespace cloze
