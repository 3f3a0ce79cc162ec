#include "parallel/kernels/kernels.h"

// Compiled once: see instruction_set.h.
#ifndef CLOZE_KERNEL_AVX512

namespace cloze {
namespace {

template <class T>
constexpr KernelTable<T> table_of() {
  return {.rms_norm_forward = &rms_norm_forward<T>,
          .rms_norm_backward = &rms_norm_backward<T>,
          .layer_norm_forward = &layer_norm_forward<T>,
          .layer_norm_backward = &layer_norm_backward<T>,
          .swiglu_forward = &swiglu_forward<T>,
          .swiglu_backward = &swiglu_backward<T>,
          .gelu_forward = &gelu_forward<T>,
          .gelu_backward = &gelu_backward<T>,
          .add_bias = &add_bias<T>,
          .bias_gradient = &bias_gradient<T>,
          .embedding_forward = &embedding_forward<T>,
          .embedding_backward = &embedding_backward<T>,
          .dropout_add = &dropout_add<T>,
          .dropout_backward = &dropout_backward<T>,
          .rotary = &rotary<T>,
          .attention_forward = &attention_forward<T>,
          .attention_backward = &attention_backward<T>,
          .row_max = &row_max<T>,
          .row_sums = &row_sums<T>,
          .softmax_gradient = &softmax_gradient<T>,
          .adamw = &adamw<T, Accumulator<T>>,
          .sum_of_squares = [](const T* x, std::int64_t n,
                               double* total) { *total = sum_of_squares<T>(x, n); },
          .ordered_sum = &ordered_sum<T>,
          .ordered_max = &ordered_max<T>,
          .scratch = kNoScratch};
}

constexpr Kernels kernels(bool uses_tiles) {
  return {.f64 = table_of<double>(),
          .f32 = table_of<float>(),
          .bf16 = table_of<BFloat16>(),
          .f16 = table_of<Float16>(),
          .i64 = {&count_sum<std::int64_t>, &count_max<std::int64_t>},
          .i32 = {&count_sum<std::int32_t>, &count_max<std::int32_t>},
          .u8 = {&count_sum<std::uint8_t>, &count_max<std::uint8_t>},
          .attention_backward_workspace = &attention_backward_workspace,
          .uses_tiles = uses_tiles};
}

constexpr Kernels kCpuKernels = kernels(/*uses_tiles=*/false);
constexpr Kernels kTileKernels = kernels(/*uses_tiles=*/true);

}  // namespace

const Kernels& cpu_kernels() { return kCpuKernels; }

const Kernels& cpu_kernels_on_tiles() { return kTileKernels; }

}  // namespace cloze

#endif  // CLOZE_KERNEL_AVX512
