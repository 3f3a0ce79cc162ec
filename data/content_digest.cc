// XXH3-128 digests of bytes.
#include "data/content_digest.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

ContentDigest canonical(const XXH128_hash_t& hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  ContentDigest digest;
  std::copy(std::begin(bytes.digest), std::end(bytes.digest), digest.begin());
  return digest;
}

int digit_of(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  return -1;
}

}  // namespace

ContentDigest digest_of(std::span<const std::byte> bytes) {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

ContentDigest digest_of(std::string_view text) {
  return canonical(XXH3_128bits(text.data(), text.size()));
}

ContentDigest digest_of(const File& file) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  CLOZE_CHECK(state != nullptr, "no memory for a digest", "free memory");
  XXH3_128bits_reset(state.get());
  const std::int64_t size = file.size();
  std::vector<std::byte> block(static_cast<std::size_t>(std::min(size, kBlockBytes)));
  for (std::int64_t first = 0; first < size; first += kBlockBytes) {
    const auto count = static_cast<std::size_t>(std::min(kBlockBytes, size - first));
    file.read_at(first, std::span(block).first(count));
    XXH3_128bits_update(state.get(), block.data(), count);
  }
  return canonical(XXH3_128bits_digest(state.get()));
}

std::string hex_of(const ContentDigest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15U]);
  }
  return hex;
}

std::optional<ContentDigest> digest_from_hex(std::string_view hex) {
  ContentDigest digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = digit_of(hex[2 * i]);
    const int low = digit_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

}  // namespace cloze
