// The bytes of a text file, whether it lies plain or compressed with gzip or Zstandard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace cloze {

class TextStream {
 public:
  // By the end of the name: .gz, .zst, else plain. Missing or no regular file: kBadInput.
  static std::unique_ptr<TextStream> open(const std::filesystem::path& path);

  TextStream() = default;
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;
  virtual ~TextStream() = default;

  // Fills the front of `out`, which is not empty; 0 only at the end. Compressed bytes that are
  // damaged, cut short or followed by others are kBadInput. Memory is bounded whatever comes.
  virtual std::size_t read(std::span<char> out) = 0;

  // Bytes of the file consumed so far, compressed ones where it is compressed.
  virtual std::int64_t position() const = 0;
};

}  // namespace cloze
