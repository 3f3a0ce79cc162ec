// Which characters are letters, numbers and white space for a split pattern: Unicode 16, as the
// regex engine of Hugging Face tokenizers sees \p{L}, \p{N} and \s. A system's PCRE2 may be of an
// older Unicode, and would cut newer scripts elsewhere than the published tokenizers do.
#pragma once

#include <cstdint>
#include <span>

namespace cloze {

struct CodePointRange {
  std::uint32_t first;
  std::uint32_t last;  // Included.
};

// Ascending, disjoint.
std::span<const CodePointRange> letter_ranges();  // \p{L}
std::span<const CodePointRange> number_ranges();  // \p{N}
std::span<const CodePointRange> space_ranges();   // \s

}  // namespace cloze
