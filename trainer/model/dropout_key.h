// Names the random numbers of a dropout, by global coordinates, so that the mask is the same on
// every layout and when a block is run again.
#pragma once

#include "parallel/kernels/dropout.h"
#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"
#include "trainer/model/microbatch.h"

namespace cloze {

// For a [tokens (/ tp), hidden] tensor. `place` numbers the dropouts of a domain: < 4096.
inline DropoutKey dropout_key(const Pass& pass, const Microbatch& microbatch,
                              const TensorParallel& tp, double probability, RandomDomain domain,
                              std::uint32_t place, std::int64_t hidden_size) {
  const std::int64_t first = tp.first_token(microbatch.num_tokens());
  DropoutKey key{};
  key.p = probability;
  key.seed = pass.seed;
  key.domain = domain;
  key.layer = place;
  key.ordinals = microbatch.arrays().ordinals + first;
  key.index_in_row = microbatch.arrays().index_in_row + first;
  key.hidden_total = hidden_size;
  return key;
}

}  // namespace cloze
