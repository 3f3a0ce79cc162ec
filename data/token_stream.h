// An epoch of a source: its documents in order, each closed by exactly one eos.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/documents.h"

namespace cloze {

// Adds the eos that foreign documents lack. Const calls may run in many threads.
class TokenStream {
 public:
  // kBadInput when there is no token at all.
  TokenStream(std::unique_ptr<const Documents> documents, std::int32_t eos);

  std::int64_t num_tokens() const { return num_tokens_; }  // With the eos added.
  std::int64_t num_added() const { return num_added_; }    // The eos added.
  const Documents& documents() const { return *documents_; }

  // Fills `out` with tokens [first, first + out.size()).
  void read(std::int64_t first, std::span<std::int32_t> out) const;

 private:
  std::unique_ptr<const Documents> documents_;
  std::int32_t eos_;
  std::int64_t num_tokens_ = 0;
  std::int64_t num_added_ = 0;
  // [documents + 1]: eos added before a document; empty when none is.
  std::vector<std::int64_t> added_before_;
  std::vector<std::int64_t> starts_;  // [documents + 1] in this stream; empty when none is added.
};

}  // namespace cloze
