// Text on stdout as its tokens come: a character whose bytes are not all there waits for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace cloze {

class TextStreamOut {
 public:
  explicit TextStreamOut(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void token(std::int32_t id);
  void text(const std::string& bytes);
  // Shows what waits; a character that never became whole as U+FFFD.
  void finish();

 private:
  const Tokenizer& tokenizer_;
  std::string waiting_;  // The first bytes of a character.
};

// The bytes of generated ids. A model may choose an id that its tokenizer lacks, since its tables
// are longer: such an id has none.
std::string generated_bytes(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids);

// The same as text, whatever the model wrote: what is no UTF-8 shows as U+FFFD.
std::string generated_text(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids);

}  // namespace cloze
