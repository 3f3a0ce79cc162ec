// Text made up from a number: for benchmarks, of any size, kept nowhere.
#pragma once

#include <cstdint>
#include <memory>

#include "data/documents.h"

namespace cloze {

struct SyntheticText {
  std::int64_t num_tokens = 0;       // Of all documents, each one's eos among them.
  std::int64_t document_tokens = 0;  // Of each document but the last, which may be shorter.
  std::int32_t first_id = 0;         // Ids are drawn evenly from [first_id, last_id).
  std::int32_t last_id = 0;
  std::int32_t eos = 0;  // Closes every document.
  std::uint64_t seed = 0;
};

// A token is a function of its place and the seed, so 10^12 of them take no memory. kInternal for
// sizes that are not positive.
std::unique_ptr<const Documents> synthetic_documents(const SyntheticText& text);

}  // namespace cloze
