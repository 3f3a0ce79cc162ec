// XXH3-128 digests of bytes: they find accidents, not attackers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "parallel/base/file.h"

namespace cloze {

// In the canonical (big-endian) order of xxHash, so that hex digits read as its tools print them.
using ContentDigest = std::array<std::uint8_t, 16>;

ContentDigest digest_of(std::span<const std::byte> bytes);
ContentDigest digest_of(std::string_view text);
ContentDigest digest_of(const File& file);  // All of it, in bounded memory.

// 32 lower-case hexadecimal digits, and back; nothing else is read.
std::string hex_of(const ContentDigest& digest);
std::optional<ContentDigest> digest_from_hex(std::string_view hex);

}  // namespace cloze
