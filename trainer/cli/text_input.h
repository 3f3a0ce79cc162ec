// What the commands that use a model read: text by its tokenizer, or token ids from a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace cloze {

// FILE.json with one flat array of token ids, each from 0 to vocab_size - 1. Anything else is
// kBadInput and names the place.
std::vector<std::int32_t> read_ids(const std::filesystem::path& path, std::int64_t vocab_size);

}  // namespace cloze
