// Ids of every width, widened to int32.
#include "data/shard_scan.h"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include "data/shard_manifest.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

// Calls body(T{}) with the C++ type of `type`.
template <typename Body>
void with_type(TokenType type, const Body& body) {
  switch (type) {
    case TokenType::kU8:
      return body(std::uint8_t{});
    case TokenType::kI8:
      return body(std::int8_t{});
    case TokenType::kI16:
      return body(std::int16_t{});
    case TokenType::kU16:
      return body(std::uint16_t{});
    case TokenType::kI32:
      return body(std::int32_t{});
    case TokenType::kI64:
      return body(std::int64_t{});
  }
}

// The sign of a narrow type is kept: a negative id must not pass for a large one.
template <typename T>
std::int32_t widened(T id) {
  return static_cast<std::int32_t>(std::int64_t{id});
}

template <typename T>
void read_as(const File& bin, std::int64_t first, std::span<std::int32_t> out) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  if constexpr (std::is_same_v<T, std::int32_t>) {
    bin.read_at(first * kBytes, std::as_writable_bytes(out));
  } else {
    std::array<T, 8192> block;
    for (std::size_t done = 0; done < out.size();) {
      const std::size_t count = std::min(block.size(), out.size() - done);
      bin.read_at((first + static_cast<std::int64_t>(done)) * kBytes,
                  std::as_writable_bytes(std::span(block).first(count)));
      for (std::size_t i = 0; i < count; ++i) out[done + i] = widened(block[i]);
      done += count;
    }
  }
}

template <typename T>
void scan_as(const File& bin, std::span<const std::int64_t> starts, ShardScan& result) {
  constexpr auto kPerChunk = kShardChunkBytes / static_cast<std::int64_t>(sizeof(T));
  const std::int64_t tokens = starts.back();
  std::vector<T> chunk(static_cast<std::size_t>(std::min(tokens, kPerChunk)));
  std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
  std::int64_t largest = -1;
  std::size_t document = 0;
  result.last_ids.assign(starts.size() - 1, -1);
  for (std::int64_t first = 0; first < tokens; first += kPerChunk) {
    const std::int64_t count = std::min(kPerChunk, tokens - first);
    const std::span<T> ids = std::span(chunk).first(static_cast<std::size_t>(count));
    bin.read_at(first * static_cast<std::int64_t>(sizeof(T)), std::as_writable_bytes(ids));
    result.chunk_digests.push_back(digest_of(std::as_bytes(ids)));
    const auto [low, high] = std::ranges::minmax(ids);
    smallest = std::min<std::int64_t>(smallest, low);
    largest = std::max<std::int64_t>(largest, high);
    if (low < 0 || largest > std::numeric_limits<std::int32_t>::max()) {
      const auto bad = std::ranges::find_if(ids, [](T id) {
        return id < 0 || std::int64_t{id} > std::numeric_limits<std::int32_t>::max();
      });
      fail(ExitCode::kBadInput,
           str(bin.path().string(), ": token ", first + (bad - ids.begin()), " is ",
               std::int64_t{*bad}, ", which is no token id"),
           "the file is damaged or its index gives a wrong dtype: make or copy the pair again");
    }
    // Documents that end in this chunk.
    for (; document + 1 < starts.size() && starts[document + 1] <= first + count; ++document) {
      if (starts[document + 1] == starts[document]) continue;
      const std::int64_t last = starts[document + 1] - 1 - first;
      result.last_ids[document] = widened(ids[static_cast<std::size_t>(last)]);
    }
  }
  result.smallest_id = smallest;
  result.largest_id = largest;
}

}  // namespace

ShardScan scan_tokens(const File& bin, TokenType type,
                      std::span<const std::int64_t> document_starts) {
  ShardScan result;
  with_type(type, [&](auto id) { scan_as<decltype(id)>(bin, document_starts, result); });
  return result;
}

void read_ids(const File& bin, TokenType type, std::int64_t first, std::span<std::int32_t> out) {
  with_type(type, [&](auto id) { read_as<decltype(id)>(bin, first, out); });
}

}  // namespace cloze
