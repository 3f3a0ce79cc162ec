// Bytes as gzip and as Zstandard without any compression, so that a fuzzer sees through them:
// RFC 1952 around the stored blocks of RFC 1951, and RFC 8878 with raw blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cloze::fuzz {

inline void put_little_endian(std::string& bytes, std::uint64_t number, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xFF);
}

inline std::uint32_t crc32_of(std::string_view content) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char byte : content) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

// One member with one stored block; `content` has at most 65,535 bytes.
inline std::string stored_gzip(std::string_view content) {
  std::string bytes("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11);
  put_little_endian(bytes, content.size(), 2);
  put_little_endian(bytes, ~content.size(), 2);
  bytes += content;
  put_little_endian(bytes, crc32_of(content), 4);
  put_little_endian(bytes, content.size(), 4);
  return bytes;
}

// One frame with one raw block; `content` has at most 128 KiB.
inline std::string stored_zstandard(std::string_view content) {
  std::string bytes("\x28\xb5\x2f\xfd\xa0", 5);  // One segment, its size in four bytes.
  put_little_endian(bytes, content.size(), 4);
  put_little_endian(bytes, content.size() << 3 | 1U, 3);  // The last block.
  return bytes + std::string(content);
}

}  // namespace cloze::fuzz
