// Sums of tensors on a GPU by our kernels, in the order of the ranks, for groups whose library
// moves bytes alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "parallel/comm/communicator.h"
#include "parallel/kernels/kernels.h"

namespace cloze {

// output[j] = parts[0][j] op parts[1][j] op ..., as ordered_reduce() does it, of the device that
// `kernels` are of. Every type that a group reduces.
void reduce_by_kernels(const Kernels& kernels, void* output, std::span<const void* const> parts,
                       std::int64_t count, at::ScalarType dtype, ReduceOp op);

}  // namespace cloze
