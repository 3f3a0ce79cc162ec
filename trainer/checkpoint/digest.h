// XXH3-128 digests: they find accidents (a flipped bit, a swapped file), not attackers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace cloze {

// In canonical (big endian) byte order, so that hex() is what `xxh128sum` prints.
struct Digest {
  static constexpr std::size_t kBytes = 16;
  std::array<char, kBytes> bytes{};

  std::string hex() const;
  std::string_view view() const { return {bytes.data(), bytes.size()}; }
  auto operator<=>(const Digest&) const = default;
};

Digest digest_of(std::span<const std::byte> bytes, std::uint64_t seed = 0);
Digest digest_of(std::string_view bytes, std::uint64_t seed = 0);

// A seed that stands for a text.
std::uint64_t seed_of(std::string_view text);

// The digest of bytes that come in pieces; equal to digest_of() of all of them.
class Digester {
 public:
  Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;
  ~Digester();

  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes);
  Digest finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloze
