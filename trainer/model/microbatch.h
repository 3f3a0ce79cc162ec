// What the layers ask of a batch, derived once a microbatch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/batch.h"
#include "parallel/tensor/vocab_parallel_head.h"

namespace cloze {

struct Microbatch {
  explicit Microbatch(Batch rows);

  Batch batch;
  std::vector<std::int64_t> token_ordinals;  // [tokens], the ordinal of the token's row.
  std::vector<std::int32_t> index_in_row;    // [tokens]
  Targets targets;

  std::int64_t num_tokens() const { return batch.num_tokens(); }
};

}  // namespace cloze
