// Opens a pair: the index is checked against the .bin and the manifest before a token is read.
#include "data/token_shards.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "data/shard_scan.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr const char* kMakeAgain = "the pair is damaged: make or copy it again";

// Enough for a manifest of a .bin of this size: a digest takes 37 bytes of text.
std::int64_t manifest_limit(std::int64_t bin_bytes) {
  return (std::int64_t{1} << 16) + 64 * (bin_bytes / kShardChunkBytes + 1);
}

File open_part(const std::filesystem::path& path, const std::filesystem::path& prefix) {
  std::error_code error;
  CLOZE_REQUIRE(std::filesystem::exists(path, error), ExitCode::kBadInput,
                str("no shard pair ", prefix.string(), ": ", path.string(), " does not exist"),
                "name the PREFIX of a pair PREFIX.bin, PREFIX.idx; `cloze prepare` makes one");
  return File::open_for_reading(path);
}

}  // namespace

TokenShards::TokenShards(std::filesystem::path prefix, File bin, ShardIndex index)
    : prefix_(std::move(prefix)),
      bin_(std::move(bin)),
      token_type_(index.token_type),
      document_starts_(std::move(index.document_starts)) {}

TokenShards TokenShards::open(const std::filesystem::path& prefix) {
  return open(prefix, &std::cerr);
}

TokenShards TokenShards::open(const std::filesystem::path& prefix, std::ostream* notices) {
  const ShardPaths paths(prefix);
  const File idx = open_part(paths.idx, paths.prefix);
  File bin = open_part(paths.bin, paths.prefix);
  const std::int64_t bin_bytes = bin.size();
  ShardIndex index = read_index(idx, bin_bytes);
  CLOZE_REQUIRE(index.num_tokens() > 0, ExitCode::kBadInput,
                str(paths.prefix.string(), " holds no tokens"),
                "prepare it from text that is not empty, or leave it out");
  TokenShards shards(paths.prefix, std::move(bin), std::move(index));
  const std::int64_t chunks = (bin_bytes + kShardChunkBytes - 1) / kShardChunkBytes;
  // Value-initialised: nothing is checked yet.
  shards.chunk_checked_ = std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(chunks));
  std::error_code no_manifest;
  if (std::filesystem::exists(paths.json, no_manifest)) {
    shards.accept_manifest(read_file(paths.json, manifest_limit(bin_bytes)), digest_of(idx),
                           idx.size());
    return shards;
  }
  if (notices != nullptr) {
    *notices << str(paths.prefix.string(), ": no manifest (", paths.json.filename().string(),
                    "), reading all of its ", bin_bytes, " bytes once\n")
             << std::flush;
  }
  shards.scan(digest_of(idx));
  return shards;
}

void TokenShards::accept_manifest(const std::string& text, const ContentDigest& idx_digest,
                                  std::int64_t idx_bytes) {
  const ShardPaths paths(prefix_);
  ShardManifest manifest = parse_manifest(text, paths.json);
  const auto demand = [&](const char* what, const auto& actual, const auto& expected) {
    CLOZE_REQUIRE(
        actual == expected, ExitCode::kBadInput,
        str(prefix_.string(), ": ", what, " is ", actual, ", its manifest says ", expected),
        kMakeAgain);
  };
  demand("the size of .bin", bin_.size(), manifest.bin_bytes);
  demand("the size of .idx", idx_bytes, manifest.idx_bytes);
  demand("the digest of .idx", hex_of(idx_digest), hex_of(manifest.idx_digest));
  demand("the number of documents", num_documents(), manifest.num_documents);
  demand("the number of tokens", num_tokens(), manifest.num_tokens);
  const std::int64_t chunks = (bin_.size() + kShardChunkBytes - 1) / kShardChunkBytes;
  demand("the number of chunks", chunks, static_cast<std::int64_t>(manifest.chunk_digests.size()));
  CLOZE_REQUIRE(manifest.largest_id >= 0 && manifest.largest_id < manifest.vocab_size,
                ExitCode::kBadInput,
                str(paths.json.string(), ": the largest id ", manifest.largest_id,
                    " is outside of the vocabulary of ", manifest.vocab_size),
                kMakeAgain);
  largest_id_ = manifest.largest_id;
  fingerprint_ = shard_fingerprint(manifest.bin_bytes, idx_digest, manifest.chunk_digests);
  manifest_ = std::move(manifest);
}

void TokenShards::scan(const ContentDigest& idx_digest) {
  ShardScan scan = scan_tokens(bin_, token_type_, document_starts_);
  largest_id_ = scan.largest_id;
  chunk_digests_ = std::move(scan.chunk_digests);
  last_ids_ = std::move(scan.last_ids);
  fingerprint_ = shard_fingerprint(bin_.size(), idx_digest, chunk_digests_);
  for (std::size_t chunk = 0; chunk < chunk_digests_.size(); ++chunk) chunk_checked_[chunk] = true;
}

std::int64_t TokenShards::document_start(std::int64_t document) const {
  CLOZE_CHECK(document >= 0 && document <= num_documents(),
              str(prefix_.string(), " has no document ", document, " of ", num_documents()),
              "ask for one of its documents");
  return document_starts_[static_cast<std::size_t>(document)];
}

void TokenShards::read_document(std::int64_t document, std::int64_t first,
                                std::span<std::int32_t> out) const {
  const std::int64_t length = document_length(document);
  CLOZE_CHECK(
      first >= 0 && first <= length && static_cast<std::int64_t>(out.size()) <= length - first,
      str(prefix_.string(), ": document ", document, " has ", length, " tokens, not ", out.size(),
          " from ", first, " on"),
      "read inside the document");
  read_tokens(document_start(document) + first, out);
}

void TokenShards::read_tokens(std::int64_t first, std::span<std::int32_t> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  CLOZE_CHECK(
      first >= 0 && first <= num_tokens() && count <= num_tokens() - first,
      str(prefix_.string(), " has ", num_tokens(), " tokens, not ", count, " from ", first, " on"),
      "read inside the pair");
  if (count == 0) return;
  const std::int64_t token_bytes = bytes_of(token_type_);
  const std::int64_t last_chunk = ((first + count) * token_bytes - 1) / kShardChunkBytes;
  for (std::int64_t chunk = first * token_bytes / kShardChunkBytes; chunk <= last_chunk; ++chunk) {
    if (!chunk_checked_[static_cast<std::size_t>(chunk)].load(std::memory_order_relaxed)) {
      check_chunk(chunk);
    }
  }
  read_ids(bin_, token_type_, first, out);
}

void TokenShards::check_chunk(std::int64_t chunk) const {
  const std::vector<ContentDigest>& digests = manifest_ ? manifest_->chunk_digests : chunk_digests_;
  const std::int64_t first = chunk * kShardChunkBytes;
  const std::int64_t bin_bytes = num_tokens() * bytes_of(token_type_);
  const std::int64_t count = std::min(kShardChunkBytes, bin_bytes - first);
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  bin_.read_at(first, bytes);
  CLOZE_REQUIRE(digest_of(bytes) == digests[static_cast<std::size_t>(chunk)], ExitCode::kBadInput,
                str(bin_.path().string(), ": chunk ", chunk, " (bytes ", first, " to ",
                    first + count, ") does not match its digest"),
                kMakeAgain);
  // Two threads may both check a chunk; both find the same.
  chunk_checked_[static_cast<std::size_t>(chunk)].store(true, std::memory_order_relaxed);
}

std::int64_t TokenShards::documents_without(std::int32_t eos) const {
  // Whoever writes a manifest closes every document with its eos, and verify() sees to it.
  if (manifest_) return manifest_->eos == eos ? 0 : num_documents();
  return std::ranges::count_if(last_ids_, [eos](std::int32_t last) { return last != eos; });
}

bool TokenShards::ends_with(std::int64_t document, std::int32_t eos) const {
  CLOZE_CHECK(document >= 0 && document < num_documents(),
              str(prefix_.string(), " has no document ", document), "ask for one of its documents");
  if (manifest_) return manifest_->eos == eos;
  return last_ids_[static_cast<std::size_t>(document)] == eos;
}

void TokenShards::verify() const {
  const std::int64_t chunks =
      (num_tokens() * bytes_of(token_type_) + kShardChunkBytes - 1) / kShardChunkBytes;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) check_chunk(chunk);
  const ShardScan scan = scan_tokens(bin_, token_type_, document_starts_);
  CLOZE_REQUIRE(scan.largest_id == largest_id_, ExitCode::kBadInput,
                str(bin_.path().string(), ": the largest id is ", scan.largest_id, ", not ",
                    largest_id_, " as its manifest says"),
                kMakeAgain);
  if (!manifest_) return;
  const auto open_end = std::ranges::find_if(
      scan.last_ids, [&](std::int32_t last) { return last != manifest_->eos; });
  CLOZE_REQUIRE(open_end == scan.last_ids.end(), ExitCode::kBadInput,
                str(bin_.path().string(), ": document ", open_end - scan.last_ids.begin(),
                    " does not end with id ", manifest_->eos, " as its manifest says"),
                kMakeAgain);
}

}  // namespace cloze
