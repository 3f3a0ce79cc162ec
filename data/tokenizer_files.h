// Reading and writing a tokenizer's files: tokenizer.json and tokenizer_config.json of Hugging
// Face. Reading treats the file as hostile; writing gives what transformers' AutoTokenizer loads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/added_tokens.h"
#include "data/bpe_merges.h"

namespace cloze {

struct VocabularyPiece {
  std::string bytes;  // As in text, not in the byte-level alphabet.
  std::int32_t id = 0;

  bool operator==(const VocabularyPiece&) const = default;
};

// All that a byte-level BPE tokenizer is.
struct TokenizerContent {
  std::string split_pattern;
  bool ignore_merges = true;  // A word that is a piece is that piece, whatever the merges say.
  std::vector<VocabularyPiece> pieces;   // Ascending ids; all 256 bytes among them.
  std::vector<Merge> merges;             // By rank.
  std::vector<AddedToken> added_tokens;  // Ascending ids, each no piece's unless it is the same.
};

// GLM-4's special tokens, in the order of their ids, which follow the pieces.
std::span<const std::string_view> glm_special_tokens();

// Reads FOLDER/tokenizer.json. kBadInput, with the path and the place, for what is missing,
// malformed, contradictory or of another kind of tokenizer.
TokenizerContent read_tokenizer_files(const std::filesystem::path& folder);

// Creates the folder when it is not there and replaces both files.
void write_tokenizer_files(const std::filesystem::path& folder, const TokenizerContent& content);

}  // namespace cloze
