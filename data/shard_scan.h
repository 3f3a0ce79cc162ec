// One pass over all of a .bin: digests, extreme ids, and the last id of each document.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/content_digest.h"
#include "data/shard_index.h"
#include "parallel/base/file.h"

namespace cloze {

struct ShardScan {
  std::vector<ContentDigest> chunk_digests;  // Of kShardChunkBytes each.
  std::int64_t smallest_id = 0;
  std::int64_t largest_id = 0;
  std::vector<std::int32_t> last_ids;  // [documents]; -1 where a document is empty.
};

// `document_starts` [documents + 1], in tokens. A negative id, or one of 2^31 or more, is
// kBadInput with its place.
ShardScan scan_tokens(const File& bin, TokenType type,
                      std::span<const std::int64_t> document_starts);

// Ids [first, first + out.size()) of .bin.
void read_ids(const File& bin, TokenType type, std::int64_t first, std::span<std::int32_t> out);

}  // namespace cloze
