// Bytes of a checkpoint's entries, read in the chunks that have digests, and compared with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <span>
#include <vector>

#include "parallel/base/file.h"
#include "trainer/checkpoint/manifest.h"

namespace cloze {

class ChunkReader {
 public:
  // The manifest is borrowed: it lives longer than the reader, at the same place.
  ChunkReader(std::filesystem::path folder, const checkpoint::Manifest& manifest);

  // Copies bytes [first, first + out.size()) of the entry. A chunk whose digest differs is
  // kBadInput; the message names file, tensor and chunk. Whole chunks are read to their place.
  void read(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry, std::int64_t first,
            std::span<std::byte> out);

 private:
  struct Chunk {
    const checkpoint::Entry* entry = nullptr;
    std::int64_t index = -1;
    std::vector<std::byte> bytes;
  };
  struct OpenFile {
    std::uint32_t index;
    File file;
  };

  // Into `out`, of the chunk's size. What a chunk that throws leaves there is not to be used.
  void read_chunk(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry,
                  std::int64_t index, std::span<std::byte> out);
  const Chunk& fetch(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry,
                     std::int64_t index);
  const File& file(std::uint32_t index);

  std::filesystem::path folder_;
  const checkpoint::Manifest& manifest_;
  std::list<Chunk> chunks_;    // The last few, newest first.
  std::list<OpenFile> files_;  // The last few, newest first.
};

}  // namespace cloze
