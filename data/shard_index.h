// Megatron's .idx file: lengths and places of sequences, and which of them make a document.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/base/file.h"

namespace cloze {

// The files of a pair. A pair is named by its PREFIX; PREFIX.idx and PREFIX.bin are taken too.
struct ShardPaths {
  explicit ShardPaths(const std::filesystem::path& name);

  std::filesystem::path prefix;
  std::filesystem::path bin;
  std::filesystem::path idx;
  std::filesystem::path json;
};

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
  std::vector<std::int64_t> document_starts;  // [documents + 1], in tokens; the last is all.

  std::int64_t num_tokens() const { return document_starts.back(); }
};

// Checks every field of an .idx against the others and against the size of its .bin; kBadInput
// names the file and the field. Holds no more in memory than it returns.
ShardIndex read_index(const File& idx, std::int64_t bin_bytes);

// The whole of an .idx in which each document is one sequence, in pieces of bounded size.
void write_index(TokenType type, const std::vector<std::int32_t>& document_lengths, File& idx);

}  // namespace cloze
