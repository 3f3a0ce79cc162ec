#include "trainer/checkpoint/digest.h"

// Compiled in, so that it uses the vector instructions this program is built for.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

namespace cloze {
namespace {

Digest canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  static_assert(sizeof(bytes) == Digest::kBytes);
  Digest digest;
  std::memcpy(digest.bytes.data(), &bytes, Digest::kBytes);
  return digest;
}

}  // namespace

struct Digester::State {
  XXH3_state_t hash;
};

std::string Digest::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text;
}

Digest digest_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  return canonical(XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed));
}

Digest digest_of(std::string_view bytes, std::uint64_t seed) {
  return digest_of(std::as_bytes(std::span<const char>(bytes.data(), bytes.size())), seed);
}

std::uint64_t seed_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

Digester::Digester() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->hash); }
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;
Digester::~Digester() = default;

void Digester::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->hash, bytes.data(), bytes.size());
}

void Digester::update(std::string_view bytes) {
  update(std::as_bytes(std::span<const char>(bytes.data(), bytes.size())));
}

Digest Digester::finish() const { return canonical(XXH3_128bits_digest(&state_->hash)); }

}  // namespace cloze
