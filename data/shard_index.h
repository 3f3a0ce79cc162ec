// Megatron's .idx file: lengths and places of sequences, and which of them make a document.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "parallel/base/file.h"

namespace cloze {

// How an id is stored in .bin. The numbers are those of the format.
enum class TokenType : std::uint8_t {
  kU8 = 1,
  kI8 = 2,
  kI16 = 3,
  kI32 = 4,
  kI64 = 5,
  kU16 = 8,
};

std::int64_t bytes_of(TokenType type);
const char* name_of(TokenType type);  // "u16".

// What Megatron's writers choose: u16 below 65,500 entries, else i32.
TokenType token_type_for(std::int64_t vocab_size);

struct ShardIndex {
  TokenType token_type = TokenType::kU16;
  std::int64_t num_sequences = 0;
  std::vector<std::int64_t> document_starts = {0};  // [documents + 1], in tokens; the last is all.

  std::int64_t num_tokens() const { return document_starts.back(); }
};

// Checks every field of the .idx text against the others; kBadInput names `path` and the field.
ShardIndex parse_index(std::span<const std::byte> content, const std::filesystem::path& path);

// The header, up to the arrays; kept apart because a writer streams the arrays.
std::string index_header(TokenType type, std::int64_t num_sequences, std::int64_t num_documents);

}  // namespace cloze
