// Reductions with a fixed order: the same bits whoever computes them.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <span>

#include "parallel/comm/communicator.h"
#include "parallel/mesh/shard.h"

namespace cloze {

// f64, f32, bf16, f16, i64, i32 and u8 (integers wrap).
bool is_reducible(at::ScalarType dtype);

// output[j] = parts[0][j] op parts[1][j] op ..., from left to right, j < count; in fp32 for the
// 16-bit types, rounded once at the end. `output` may be one of the parts.
void ordered_reduce(void* output, std::span<const void* const> parts, std::int64_t count,
                    at::ScalarType dtype, ReduceOp op);

// Elements that rank `index` of `size` reduces when each reduces a part of `count`. All but the
// last are whole cache lines, whatever the dtype.
Range reduction_slice(std::int64_t count, int size, int index);

}  // namespace cloze
