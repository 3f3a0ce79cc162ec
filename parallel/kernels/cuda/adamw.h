// AdamW on the GPU; parallel/kernels/adamw.h says what it computes, bit for bit. Pointers are of
// device memory.
#pragma once

#include <cstdint>

#include "parallel/kernels/adamw.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

// <T, Acc>: <double, double>, or <float | BFloat16 | Float16, float>.
template <class T, class Acc>
void adamw(Acc* master, T* value, const Acc* gradient, Acc* exp_avg, Acc* exp_avg_sq,
           std::int64_t n, const AdamWStep& step, Stream stream);

}  // namespace cloze::cuda
