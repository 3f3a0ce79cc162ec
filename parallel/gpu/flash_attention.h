// LibTorch's FlashAttention (Dao, 2023) for the attention of samples in 16 bits, where it is faster
// than our kernel, which has the interval masks and the dropout that it lacks.
#pragma once

#include <c10/core/Device.h>

#include "parallel/kernels/kernels.h"

namespace cloze {

// The same kernels, but for attention of bfloat16 and float16: where the call knows its samples,
// drops nothing and has no cache, it is LibTorch's, once for the suffixes and once for the
// prefixes, if there are any. Its backward pass is the one that repeats its bits. `own` outlives
// the process's use of them.
// `multiprocessors` of the GPU `device`: its backward pass cuts its work so that all have some.
Kernels with_flash_attention(const Kernels& own, c10::Device device, int multiprocessors);

}  // namespace cloze
