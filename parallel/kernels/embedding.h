// Rows of a table by id, for a table cut by rows. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// out = the id's row; zeros when the id lies outside [first_id, first_id + rows). With
// `accumulate`, out = round_T(out + row), untouched for an id outside.
// table [rows, hidden]; ids [n]; out [n, hidden].
template <class T>
void embedding_forward(const T* table, std::int64_t first_id, std::int64_t rows,
                       const std::int32_t* ids, T* out, std::int64_t n, std::int64_t hidden,
                       bool accumulate);

// Adds each token's dout [n, hidden] to its id's row of dtable [rows, hidden], in token order.
template <class T>
void embedding_backward(const T* dout, const std::int32_t* ids, std::int64_t first_id,
                        std::int64_t rows, Accumulator<T>* dtable, std::int64_t n,
                        std::int64_t hidden);

}  // namespace cloze
