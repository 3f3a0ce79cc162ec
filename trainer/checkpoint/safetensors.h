// The safetensors format: a JSON header (names, element types, shapes, byte ranges), then the
// tensors' bytes one after another. Written as a stream; read with every claim checked first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/base/dtype.h"
#include "parallel/base/file.h"
#include "parallel/mesh/shard.h"
#include "trainer/checkpoint/digest.h"

namespace cloze {

// Limits of a file that is read; a file beyond them is refused before memory is taken.
inline constexpr std::int64_t kMaxSafetensorsHeader = 16 << 20;  // Bytes.
inline constexpr std::int64_t kMaxSafetensorsTensors = 100'000;
inline constexpr std::size_t kMaxTensorDims = 8;
inline constexpr std::size_t kMaxTensorName = 512;  // Bytes.

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::int64_t begin = 0;  // Bytes from the start of the file.
  std::int64_t end = 0;

  std::int64_t bytes() const { return end - begin; }
  bool operator==(const SafetensorsEntry&) const = default;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  // In the order of their bytes; no gaps, no overlaps.
  std::map<std::string, std::string> metadata;
  std::int64_t data_begin = 0;  // Bytes before the first tensor's: the length field and the JSON.

  const SafetensorsEntry* find(std::string_view name) const;  // Null when absent.
};

// What a writer is told of each tensor before any data.
struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

// The bytes before the data, padded to a multiple of 8: the length field and the JSON. Tensors
// lie in the order given; put wide element types first to keep every tensor aligned.
std::string make_safetensors_header(const std::vector<SafetensorsTensor>& tensors,
                                    const std::map<std::string, std::string>& metadata);

// Checks and reads the JSON of a header; `data_bytes` is what the file holds behind it. Anything
// that does not hold is kBadInput and names `file`.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::int64_t data_bytes,
                                           const std::string& file);

class SafetensorsWriter {
 public:
  // Creates the file and writes its header.
  SafetensorsWriter(const std::filesystem::path& path,
                    const std::vector<SafetensorsTensor>& tensors,
                    const std::map<std::string, std::string>& metadata);

  // The next bytes of the data, in the order of the tensors, in pieces of any size.
  void write(std::span<const std::byte> bytes);
  // Flushes to the device and closes; the data must be complete.
  void finish();

  std::int64_t header_size() const { return header_size_; }  // Bytes before the first tensor's.
  std::int64_t size() const { return size_; }                // Bytes of the whole file.
  Digest header_digest() const { return header_digest_; }
  Digest digest() const { return digester_.finish(); }  // Of all bytes written so far.

 private:
  File file_;
  Digester digester_;
  Digest header_digest_;
  std::int64_t header_size_ = 0;
  std::int64_t size_ = 0;
  std::int64_t written_ = 0;
  std::int64_t syncing_ = 0;  // Bytes on their way to the device.
};

class SafetensorsReader {
 public:
  static SafetensorsReader open(const std::filesystem::path& path, bool follow_links = true);

  const std::filesystem::path& path() const { return file_.path(); }
  const SafetensorsHeader& header() const { return header_; }
  const std::vector<SafetensorsEntry>& tensors() const { return header_.tensors; }
  const SafetensorsEntry* find(std::string_view name) const { return header_.find(name); }

  // Bytes of a tensor from its `first` on; as many as `out` holds.
  void read(const SafetensorsEntry& entry, std::int64_t first, std::span<std::byte> out) const;

 private:
  SafetensorsReader(File file, SafetensorsHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}

  File file_;
  SafetensorsHeader header_;
};

}  // namespace cloze
