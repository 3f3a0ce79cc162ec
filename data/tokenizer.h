// Text to ids and back: the byte-level BPE of a Hugging Face tokenizer.json, as GLM-4 has it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

struct TokenizerModel;

class Tokenizer {
 public:
  class Encoder;

  // Folder with tokenizer.json. Missing or malformed: kBadInput with the path and what is wrong.
  static Tokenizer load(const std::filesystem::path& folder);

  Tokenizer(Tokenizer&& other) noexcept;
  Tokenizer& operator=(Tokenizer&& other) noexcept;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  ~Tokenizer();

  std::int64_t vocab_size() const;  // Largest id + 1.

  // Whether an id has a token: tables of models are often longer than their tokenizer.
  bool has(std::int32_t id) const;

  // The id of a special token ("<sop>") or of a plain piece given as its bytes (" the").
  std::optional<std::int32_t> id_of(std::string_view token) const;
  // As id_of, for a token that must exist: kBadInput naming it when absent.
  std::int32_t special(std::string_view token) const;

  // XXH3-128 of the canonical content (pattern, pieces, merges, added tokens), 32 hex digits: it
  // depends on what the tokenizer does, not on how its file is laid out.
  std::string digest() const;

  // The ids of valid UTF-8; anything else is kBadInput with the byte's offset. Strings of special
  // tokens in the text are recognised only when `parse_special`, so data cannot forge them.
  // Any number of threads may call this at once.
  std::vector<std::int32_t> encode(std::string_view text, bool parse_special = false) const;

  // The bytes of ids, which need not be valid UTF-8 when ids end inside a character; special
  // tokens as their names, or left out when `skip_special`. An id without a token: kBadInput.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerModel> model);

  std::unique_ptr<const TokenizerModel> model_;  // On the heap, so that encoders survive a move.
};

// Encodes like Tokenizer::encode with parse_special off, faster: it remembers the ids of words it
// has seen, in a cache of bounded size. One per thread; the tokenizer must outlive it.
class Tokenizer::Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer);
  Encoder(Encoder&& other) noexcept;
  Encoder& operator=(Encoder&& other) noexcept;
  ~Encoder();

  // Appends the ids of `text` (valid UTF-8) to `out`.
  void encode(std::string_view text, std::vector<std::int32_t>& out);

 private:
  struct State;

  std::unique_ptr<State> state_;
};

}  // namespace cloze
