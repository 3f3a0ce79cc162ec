#include "trainer/checkpoint/chunk_reader.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::size_t kCachedChunks = 4;
constexpr std::size_t kOpenFiles = 16;  // Few: a process may hold 1024, and others need them too.

std::size_t chunk_size(const checkpoint::Entry& entry, std::int64_t index) {
  const std::int64_t begin = entry.begin() + index * kDigestChunk;
  return static_cast<std::size_t>(std::min(kDigestChunk, entry.end() - begin));
}

}  // namespace

ChunkReader::ChunkReader(std::filesystem::path folder, const checkpoint::Manifest& manifest)
    : folder_(std::move(folder)), manifest_(manifest) {}

void ChunkReader::read(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry,
                       std::int64_t first, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::int64_t index = first / kDigestChunk;
    const auto begin = static_cast<std::size_t>(first - index * kDigestChunk);
    const std::size_t size = chunk_size(entry, index);
    const std::size_t count = std::min(out.size(), size - begin);
    if (count == size) {
      read_chunk(tensor, entry, index, out.first(size));
    } else {
      const Chunk& chunk = fetch(tensor, entry, index);
      std::memcpy(out.data(), chunk.bytes.data() + begin, count);
    }
    out = out.subspan(count);
    first += static_cast<std::int64_t>(count);
  }
}

const ChunkReader::Chunk& ChunkReader::fetch(const checkpoint::Tensor& tensor,
                                             const checkpoint::Entry& entry, std::int64_t index) {
  const auto found = std::find_if(chunks_.begin(), chunks_.end(), [&](const Chunk& chunk) {
    return chunk.entry == &entry && chunk.index == index;
  });
  if (found != chunks_.end()) {
    chunks_.splice(chunks_.begin(), chunks_, found);
    return chunks_.front();
  }
  Chunk chunk;
  if (chunks_.size() == kCachedChunks) {
    chunk = std::move(chunks_.back());  // Its memory is used again.
    chunks_.pop_back();
  }
  chunk.entry = &entry;
  chunk.index = index;
  chunk.bytes.resize(chunk_size(entry, index));
  read_chunk(tensor, entry, index, chunk.bytes);
  chunks_.push_front(std::move(chunk));
  return chunks_.front();
}

void ChunkReader::read_chunk(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry,
                             std::int64_t index, std::span<std::byte> out) {
  const std::int64_t begin = entry.begin() + index * kDigestChunk;
  const File& source = file(entry.file());
  source.read_at(begin, out);
  const checkpoint::File& home = manifest_.files(static_cast<int>(entry.file()));
  const std::uint64_t seed =
      chunk_seed(manifest_.state().run_id(), manifest_.state().step(), home.rank(), home.name());
  const std::string_view expected =
      std::string_view(entry.digests())
          .substr(static_cast<std::size_t>(index) * Digest::kBytes, Digest::kBytes);
  CLOZE_REQUIRE(
      digest_of(out, seed).view() == expected, ExitCode::kBadInput,
      str(source.path().string(), " is damaged: tensor ", tensor.name(), ", chunk ", index,
          " (bytes ", begin, " to ", begin + std::ssize(out), ") does not match its digest"),
      "use another checkpoint, or copy this one again");
}

const File& ChunkReader::file(std::uint32_t index) {
  const auto found = std::find_if(files_.begin(), files_.end(),
                                  [&](const OpenFile& open) { return open.index == index; });
  if (found != files_.end()) {
    files_.splice(files_.begin(), files_, found);
    return files_.front().file;
  }
  if (files_.size() == kOpenFiles) files_.pop_back();
  const std::string& name = manifest_.files(static_cast<int>(index)).name();
  files_.push_front({index, File::open_for_reading(folder_ / name, /*follow_links=*/false)});
  return files_.front().file;
}

}  // namespace cloze
