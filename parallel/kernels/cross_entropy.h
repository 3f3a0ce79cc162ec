// Softmax cross-entropy over a vocabulary that may be cut over tensor ranks: three phases around
// two all-reduces, which the caller makes. T: double, float, BFloat16, Float16.
//
//   row_max           -> all-reduce max of max
//   row_sums          -> all-reduce sum of sum and target_logit
//   loss of a row = log(sum) - target_logit
//   softmax_gradient  in place
//
// logits: n rows, ld elements apart, of `vocab` columns: ids [first_id, first_id + vocab) of the
// whole vocabulary; vocab may be 0. targets [n] are ids of the whole vocabulary.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// max [n]; -infinity for an empty shard.
template <class T>
void row_max(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
             Accumulator<T>* max);

// sum [n] = sum of exp(logit - max); target_logit [n] = the target's logit - max, 0 when the
// target lies in another shard. max [n] is of the whole vocabulary.
template <class T>
void row_sums(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
              std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
              Accumulator<T>* sum, Accumulator<T>* target_logit);

// logits := weight * (softmax - onehot(target)). max, sum, weight [n]; a row of weight 0 becomes
// exactly 0, whatever its logits and target.
template <class T>
void softmax_gradient(T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
                      std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
                      const Accumulator<T>* sum, const Accumulator<T>* weight);

}  // namespace cloze
