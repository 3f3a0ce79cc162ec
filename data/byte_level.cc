// Byte <-> printable character, as GPT-2's encoder.py maps them.
#include "data/byte_level.h"

#include <cstddef>

namespace cloze {
namespace {

constexpr int kFirstShifted = 0x100;  // Character of the first byte that cannot show itself.
constexpr int kNumShifted = 68;

constexpr bool shows_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::uint16_t, 256> character{};                    // Of a byte.
  std::array<std::int16_t, kFirstShifted + kNumShifted> byte{};  // Of a character, or -1.
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  int shifted = kFirstShifted;
  for (int byte = 0; byte < 256; ++byte) {
    const int character = shows_itself(byte) ? byte : shifted++;
    alphabet.character[static_cast<std::size_t>(byte)] = static_cast<std::uint16_t>(character);
    alphabet.byte[static_cast<std::size_t>(character)] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char raw : bytes) {
    const unsigned character = kAlphabet.character[static_cast<std::uint8_t>(raw)];
    if (character < 0x80) {
      text.push_back(static_cast<char>(character));
    } else {
      text.push_back(static_cast<char>(0xC0U | (character >> 6)));
      text.push_back(static_cast<char>(0x80U | (character & 0x3FU)));
    }
  }
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    // The alphabet ends below U+0800, so a character takes one byte or two.
    unsigned character = static_cast<std::uint8_t>(text[at]);
    if (character >= 0x80) {
      if (character < 0xC2 || character > 0xDF || at + 1 == text.size()) return std::nullopt;
      const unsigned next = static_cast<std::uint8_t>(text[++at]);
      if ((next & 0xC0U) != 0x80U) return std::nullopt;
      character = ((character & 0x1FU) << 6) | (next & 0x3FU);
    }
    if (character >= kAlphabet.byte.size() || kAlphabet.byte[character] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[character]));
  }
  return bytes;
}

std::array<std::uint8_t, 256> byte_level_order() {
  std::array<std::uint8_t, 256> order{};
  std::size_t place = 0;
  for (const std::int16_t byte : kAlphabet.byte) {
    if (byte >= 0) order[place++] = static_cast<std::uint8_t>(byte);
  }
  return order;
}

}  // namespace cloze
