// The table of a GPU's kernels: the functions of this folder under the signatures of the CPU's.
// They are queued on the stream that the caller computes on, and borrow what memory they need
// beside their arguments.
//
// Runtime says how, and has nothing but static members:
//   Stream stream();            the stream that this thread computes on now
//   class Memory                of the device, until the stream has come this far:
//     explicit Memory(std::int64_t bytes);  void* data();
#pragma once

#include <cstdint>

#include "parallel/kernels/cuda/activation.h"
#include "parallel/kernels/cuda/adamw.h"
#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/bias.h"
#include "parallel/kernels/cuda/cross_entropy.h"
#include "parallel/kernels/cuda/dropout.h"
#include "parallel/kernels/cuda/embedding.h"
#include "parallel/kernels/cuda/norm.h"
#include "parallel/kernels/cuda/rotary.h"
#include "parallel/kernels/cuda/sums.h"
#include "parallel/kernels/kernels.h"

namespace cloze::cuda {

// The same call with the stream behind its arguments.
template <auto kernel, class Runtime, class... Arguments>
void on_stream(Arguments... arguments) {
  kernel(arguments..., Runtime::stream());
}

// Those that also borrow memory.
template <class T, class Runtime>
struct Borrowing {
  using Sum = Accumulator<T>;
  using Memory = Runtime::Memory;

  static void rms_norm_backward(const T* dy, const T* x, const T* weight, const Sum* rstd, T* dx,
                                Sum* dweight, std::int64_t n, std::int64_t hidden,
                                const T* dresidual) {
    Memory memory(norm_backward_workspace<T>(n, hidden));
    cuda::rms_norm_backward<T>(dy, x, weight, rstd, dx, dweight, n, hidden, dresidual,
                               memory.data(), Runtime::stream());
  }

  static void layer_norm_backward(const T* dy, const T* x, const T* weight, const Sum* mean,
                                  const Sum* rstd, T* dx, Sum* dweight, Sum* dbias, std::int64_t n,
                                  std::int64_t hidden, const T* dresidual) {
    Memory memory(norm_backward_workspace<T>(n, hidden));
    cuda::layer_norm_backward<T>(dy, x, weight, mean, rstd, dx, dweight, dbias, n, hidden,
                                 dresidual, memory.data(), Runtime::stream());
  }

  static void bias_gradient(const T* dy, Sum* dbias, std::int64_t n, std::int64_t f) {
    Memory memory(bias_gradient_workspace<T>(n, f));
    cuda::bias_gradient<T>(dy, dbias, n, f, memory.data(), Runtime::stream());
  }

  static void embedding_backward(const T* dout, const std::int32_t* ids, std::int64_t first_id,
                                 std::int64_t rows, Sum* dtable, std::int64_t n,
                                 std::int64_t hidden) {
    Memory memory(embedding_backward_workspace(n));
    cuda::embedding_backward<T>(dout, ids, first_id, rows, dtable, n, hidden, memory.data(),
                                Runtime::stream());
  }

  static void attention_backward(const AttentionShape& shape, const T* dout, const T* q, const T* k,
                                 const T* v, const T* out, const Sum* lse, const std::int32_t* lo,
                                 const std::int32_t* hi, const AttentionDropout* dropout, T* dq,
                                 T* dk, T* dv, Sum* /*workspace*/) {
    Memory memory(cuda::attention_backward_workspace<T>(shape));
    cuda::attention_backward<T>(shape, dout, q, k, v, out, lse, lo, hi, dropout, dq, dk, dv,
                                memory.data(), Runtime::stream());
  }

  static void sum_of_squares(const T* x, std::int64_t n, double* total) {
    Memory memory(sum_of_squares_workspace(n));
    cuda::sum_of_squares<T>(x, n, total, memory.data(), Runtime::stream());
  }
};

// on_stream() of the kernel with the arguments of the CPU function that is given.
template <auto kernel, class Runtime, class... Arguments>
constexpr auto streamed(void (*)(Arguments...)) -> void (*)(Arguments...) {
  return &on_stream<kernel, Runtime, Arguments...>;
}

template <class T, class Runtime>
constexpr KernelTable<T> gpu_table() {
  using B = Borrowing<T, Runtime>;
  using Sum = Accumulator<T>;
  return {
      .rms_norm_forward = streamed<&rms_norm_forward<T>, Runtime>(&cloze::rms_norm_forward<T>),
      .rms_norm_backward = &B::rms_norm_backward,
      .layer_norm_forward =
          streamed<&layer_norm_forward<T>, Runtime>(&cloze::layer_norm_forward<T>),
      .layer_norm_backward = &B::layer_norm_backward,
      .swiglu_forward = streamed<&swiglu_forward<T>, Runtime>(&cloze::swiglu_forward<T>),
      .swiglu_backward = streamed<&swiglu_backward<T>, Runtime>(&cloze::swiglu_backward<T>),
      .gelu_forward = streamed<&gelu_forward<T>, Runtime>(&cloze::gelu_forward<T>),
      .gelu_backward = streamed<&gelu_backward<T>, Runtime>(&cloze::gelu_backward<T>),
      .add_bias = streamed<&add_bias<T>, Runtime>(&cloze::add_bias<T>),
      .bias_gradient = &B::bias_gradient,
      .embedding_forward = streamed<&embedding_forward<T>, Runtime>(&cloze::embedding_forward<T>),
      .embedding_backward = &B::embedding_backward,
      .dropout_add = streamed<&dropout_add<T>, Runtime>(&cloze::dropout_add<T>),
      .dropout_backward = streamed<&dropout_backward<T>, Runtime>(&cloze::dropout_backward<T>),
      .rotary = streamed<&rotary<T>, Runtime>(&cloze::rotary<T>),
      .attention_forward = streamed<&attention_forward<T>, Runtime>(&cloze::attention_forward<T>),
      .attention_backward = &B::attention_backward,
      .row_max = streamed<&row_max<T>, Runtime>(&cloze::row_max<T>),
      .row_sums = streamed<&row_sums<T>, Runtime>(&cloze::row_sums<T>),
      .softmax_gradient = streamed<&softmax_gradient<T>, Runtime>(&cloze::softmax_gradient<T>),
      .adamw = streamed<&adamw<T, Sum>, Runtime>(&cloze::adamw<T, Sum>),
      .sum_of_squares = &B::sum_of_squares,
      .ordered_sum = streamed<&ordered_sum<T>, Runtime>(&cloze::ordered_sum<T>),
      .ordered_max = streamed<&ordered_max<T>, Runtime>(&cloze::ordered_max<T>),
      .scratch = {.norm_backward = &norm_backward_workspace<T>,
                  .bias_gradient = &bias_gradient_workspace<T>,
                  .embedding_backward = &embedding_backward_workspace,
                  .attention_forward = kNoScratch.attention_forward,
                  .attention_backward = [](const AttentionShape& shape, bool) -> std::int64_t {
                    return cuda::attention_backward_workspace<T>(shape);
                  }}};
}

template <class T, class Runtime>
constexpr CountTable<T> gpu_counts() {
  return {.ordered_sum = streamed<&count_sum<T>, Runtime>(&cloze::count_sum<T>),
          .ordered_max = streamed<&count_max<T>, Runtime>(&cloze::count_max<T>)};
}

template <class Runtime>
constexpr Kernels gpu_kernels() {
  return {.f64 = gpu_table<double, Runtime>(),
          .f32 = gpu_table<float, Runtime>(),
          .bf16 = gpu_table<BFloat16, Runtime>(),
          .f16 = gpu_table<Float16, Runtime>(),
          .i64 = gpu_counts<std::int64_t, Runtime>(),
          .i32 = gpu_counts<std::int32_t, Runtime>(),
          .u8 = gpu_counts<std::uint8_t, Runtime>(),
          // Attention borrows its own.
          .attention_backward_workspace = [](const AttentionShape&) -> std::int64_t { return 0; }};
}

}  // namespace cloze::cuda
