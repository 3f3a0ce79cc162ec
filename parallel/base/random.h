// Random numbers by key, not by order: Philox4x32-10 (Salmon et al., SC'11, "Parallel random
// numbers: as easy as 1, 2, 3"). The same (seed, domain, layer, site, ordinal, index) gives the
// same bits on every layout, device, thread count and restart; there is no state to save.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace cloze {

// What a number is drawn for. The numbers are part of the checkpoint format: append only.
enum class RandomDomain : std::uint8_t {
  kInit = 0,
  kEmbeddingDropout = 1,
  kAttentionDropout = 2,
  kOutputDropout = 3,
  kObjective = 4,    // Which objective an ordinal gets.
  kSpans = 5,        // Lengths and places of blanks.
  kSpanOrder = 6,    // Order of blanks in part B.
  kPermutation = 7,  // Order of windows in an epoch.
  kMixture = 8,      // Which source an ordinal comes from.
  kSampling = 9,     // Tokens of generation.
  kTest = 255,
};

// Names a stream of numbers. `ordinal` is the row's place in the run; 0 for initialisation.
struct RandomKey {
  std::uint64_t seed = 0;
  RandomDomain domain = RandomDomain::kTest;
  std::uint32_t layer = 0;  // < 4096.
  std::uint32_t site = 0;   // < 65536; for initialisation the parameter's number.
  std::uint64_t ordinal = 0;
};

using PhiloxBlock = std::array<std::uint32_t, 4>;

// Ten rounds of Philox4x32.
constexpr PhiloxBlock philox(PhiloxBlock counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
               static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return counter;
}

// Four numbers: elements [4 * group, 4 * group + 4) of the stream `key`; group < 2^36.
// Counter words (reliability of resume rests on this layout): 0 = low 32 bits of the group;
// 1 = domain (8) | layer (12) | low 8 bits of the site | bits 32..35 of the group; 2, 3 = the
// ordinal, with the site's high 8 bits on top of word 3.
constexpr PhiloxBlock random_block(const RandomKey& key, std::uint64_t group) {
  const std::uint32_t word1 = (static_cast<std::uint32_t>(key.domain) << 24) |
                              ((key.layer & 0xFFFU) << 12) | ((key.site & 0xFFU) << 4) |
                              (static_cast<std::uint32_t>(group >> 32) & 0xFU);
  const std::uint32_t word3 =
      static_cast<std::uint32_t>(key.ordinal >> 32) ^ (((key.site >> 8) & 0xFFU) << 24);
  return philox(
      {static_cast<std::uint32_t>(group), word1, static_cast<std::uint32_t>(key.ordinal), word3},
      static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32));
}

constexpr std::uint32_t random_bits(const RandomKey& key, std::uint64_t index) {
  return random_block(key, index / 4)[index % 4];
}

// Uniform in [0, 1), 32 bits of resolution.
constexpr double random_uniform(const RandomKey& key, std::uint64_t index) {
  return random_bits(key, index) * 0x1p-32;
}

// Uniform integer in [0, bound), bound >= 1, from 64 bits by multiply-high: bias < bound / 2^64.
// Uses elements 2 * index and 2 * index + 1 of the stream.
constexpr std::uint64_t random_below(const RandomKey& key, std::uint64_t index,
                                     std::uint64_t bound) {
  const PhiloxBlock block = random_block(key, index / 2);
  const std::size_t lane = (index % 2) * 2;
  const std::uint64_t bits = (std::uint64_t{block[lane + 1]} << 32) | block[lane];
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

// ln(value) for 0 < value <= 1 by fma alone: no libm, so the bits are the same everywhere.
inline double log_by_fma(double value) {
  const auto raw = std::bit_cast<std::uint64_t>(value);
  int exponent = static_cast<int>(raw >> 52) - 1023;
  double mantissa = std::bit_cast<double>((raw & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716.
  const double s = (mantissa - 1.0) / (mantissa + 1.0);
  const double square = s * s;
  double series = 1.0 / 23.0;
  for (int odd = 21; odd >= 1; odd -= 2) series = std::fma(series, square, 1.0 / odd);
  return std::fma(static_cast<double>(exponent), 0.6931471805599453, 2.0 * s * series);
}

// cos(2 pi turns) for 0 <= turns < 1, by fma alone.
inline double cos_of_turns(double turns) {
  const double quarters = turns * 4.0;
  // Exact: turns has 32 bits. NOLINTNEXTLINE(bugprone-incorrect-roundings)
  const int nearest = static_cast<int>(quarters + 0.5);
  const double angle = (quarters - nearest) * 1.5707963267948966;  // Within +- pi / 4.
  const double square = angle * angle;
  double cosine = 1.0;
  double sine = 1.0;
  for (int term = 8; term >= 1; --term) {
    cosine = std::fma(-square / ((2.0 * term) * (2.0 * term - 1.0)), cosine, 1.0);
    sine = std::fma(-square / ((2.0 * term + 1.0) * (2.0 * term)), sine, 1.0);
  }
  sine *= angle;
  switch (nearest % 4) {
    case 0:
      return cosine;
    case 1:
      return -sine;
    case 2:
      return -cosine;
    default:
      return sine;
  }
}

// A standard normal variate (Box-Muller, the cosine branch). Uses elements 2 * index and
// 2 * index + 1 of the stream, so any element is reached in O(1).
inline double random_normal(const RandomKey& key, std::uint64_t index) {
  const PhiloxBlock block = random_block(key, index / 2);
  const std::size_t lane = (index % 2) * 2;
  const double u = (block[lane] + 1.0) * 0x1p-32;  // (0, 1].
  const double v = block[lane + 1] * 0x1p-32;      // [0, 1).
  return std::sqrt(-2.0 * log_by_fma(u)) * cos_of_turns(v);
}

}  // namespace cloze
