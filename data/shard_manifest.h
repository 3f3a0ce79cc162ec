// PREFIX.json: what a shard pair made by `cloze prepare` says about itself beyond Megatron's
// format: its tokenizer, its largest id, and digests of every byte.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/content_digest.h"

namespace cloze {

// The part of .bin that one digest covers; the last chunk may be shorter.
inline constexpr std::int64_t kShardChunkBytes = std::int64_t{1} << 20;

struct ShardManifest {
  std::string tokenizer_digest;  // Tokenizer::digest() of the tokenizer that made the ids.
  std::int64_t vocab_size = 0;   // Of that tokenizer; every id is below it.
  std::int32_t eos = 0;          // Closes every document, once.
  std::int64_t largest_id = 0;
  std::int64_t num_documents = 0;
  std::int64_t num_tokens = 0;
  std::int64_t bin_bytes = 0;
  std::int64_t idx_bytes = 0;
  ContentDigest idx_digest = {};             // Of the whole .idx.
  std::vector<ContentDigest> chunk_digests;  // [ceil(bin_bytes / kShardChunkBytes)], of .bin.

  bool operator==(const ShardManifest&) const = default;
};

// Names the content of .bin and .idx: the same whether a manifest lies beside them or not.
std::string shard_fingerprint(std::int64_t bin_bytes, const ContentDigest& idx_digest,
                              const std::vector<ContentDigest>& chunk_digests);

// The text of PREFIX.json: one key a line, then the digest of all that stands before it.
std::string write_manifest(const ShardManifest& manifest);

// Whether a file that starts so is (perhaps damaged) work of write_manifest.
bool is_manifest(std::string_view start);

// Reads what write_manifest wrote; a single changed byte is kBadInput. `path` names the file in
// the error.
ShardManifest parse_manifest(const std::string& text, const std::filesystem::path& path);

}  // namespace cloze
