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

}  // namespace cloze
