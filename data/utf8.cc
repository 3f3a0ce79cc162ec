// UTF-8 validation by simdjson, and a slow look for the place when it fails.
#include "data/utf8.h"

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "parallel/base/check.h"

namespace cloze {

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::nullopt;
  std::size_t valid = 0;
  for (;;) {  // Character by character to the fault, which is there.
    const auto lead = static_cast<std::uint8_t>(text[valid]);
    const std::size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (valid + bytes > text.size() || !simdjson::validate_utf8(text.data() + valid, bytes)) {
      return valid;
    }
    valid += bytes;
  }
}

void require_utf8(std::string_view text) {
  const std::optional<std::size_t> invalid = find_invalid_utf8(text);
  CLOZE_REQUIRE(!invalid, ExitCode::kBadInput,
                str("the text is not valid UTF-8 at byte ", *invalid), "convert the text to UTF-8");
}

namespace {

// Bytes of the character that `lead` begins, 0 when it begins none, and what may follow it: the
// second byte alone has bounds of its own, against overlong forms, surrogates and beyond U+10FFFF.
struct Lead {
  std::size_t bytes = 0;
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
};

Lead lead_of(std::uint8_t lead) {
  if (lead < 0x80) return {.bytes = 1};
  if (lead < 0xC2 || lead > 0xF4) return {};
  if (lead < 0xE0) return {.bytes = 2};
  if (lead == 0xE0) return {.bytes = 3, .low = 0xA0};
  if (lead == 0xED) return {.bytes = 3, .high = 0x9F};
  if (lead < 0xF0) return {.bytes = 3};
  if (lead == 0xF0) return {.bytes = 4, .low = 0x90};
  if (lead == 0xF4) return {.bytes = 4, .high = 0x8F};
  return {.bytes = 4};
}

}  // namespace

ShownText replace_invalid_utf8(std::string_view bytes) {
  ShownText shown;
  for (std::size_t first = 0; first < bytes.size();) {
    Lead lead = lead_of(static_cast<std::uint8_t>(bytes[first]));
    std::size_t count = 1;
    while (count < lead.bytes && first + count < bytes.size()) {
      const auto next = static_cast<std::uint8_t>(bytes[first + count]);
      if (next < lead.low || next > lead.high) break;
      lead.low = 0x80;
      lead.high = 0xBF;
      ++count;
    }
    if (count == lead.bytes) {
      shown.text += bytes.substr(first, count);
    } else if (lead.bytes > 0 && first + count == bytes.size()) {
      shown.unfinished = count;
    } else {
      shown.text += "\xEF\xBF\xBD";
    }
    first += count;
  }
  return shown;
}

}  // namespace cloze
