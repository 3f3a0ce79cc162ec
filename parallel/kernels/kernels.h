// All kernels of one device as a table, so that layers, optimizer and sums run on the device that
// their tensors are on. The functions are those of this folder; another device fills a table of its
// own with functions of the same meaning, whose pointers are of its memory.
#pragma once

#include <cstdint>
#include <type_traits>

#include "parallel/base/dtype.h"
#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/activation.h"
#include "parallel/kernels/adamw.h"
#include "parallel/kernels/attention.h"
#include "parallel/kernels/bias.h"
#include "parallel/kernels/cross_entropy.h"
#include "parallel/kernels/dropout.h"
#include "parallel/kernels/embedding.h"
#include "parallel/kernels/norm.h"
#include "parallel/kernels/rotary.h"
#include "parallel/kernels/scratch.h"
#include "parallel/kernels/sums.h"
#include "parallel/kernels/tile_product.h"

namespace cloze {

// Of one element type. What each does stands where the function of its name is declared.
template <class T>
struct KernelTable {
  decltype(&cloze::rms_norm_forward<T>) rms_norm_forward;
  decltype(&cloze::rms_norm_backward<T>) rms_norm_backward;
  decltype(&cloze::layer_norm_forward<T>) layer_norm_forward;
  decltype(&cloze::layer_norm_backward<T>) layer_norm_backward;
  decltype(&cloze::swiglu_forward<T>) swiglu_forward;
  decltype(&cloze::swiglu_backward<T>) swiglu_backward;
  decltype(&cloze::gelu_forward<T>) gelu_forward;
  decltype(&cloze::gelu_backward<T>) gelu_backward;
  decltype(&cloze::add_bias<T>) add_bias;
  decltype(&cloze::bias_gradient<T>) bias_gradient;
  decltype(&cloze::embedding_forward<T>) embedding_forward;
  decltype(&cloze::embedding_backward<T>) embedding_backward;
  decltype(&cloze::dropout_add<T>) dropout_add;
  decltype(&cloze::dropout_backward<T>) dropout_backward;
  decltype(&cloze::rotary<T>) rotary;
  decltype(&cloze::attention_forward<T>) attention_forward;
  decltype(&cloze::attention_backward<T>) attention_backward;
  decltype(&cloze::row_max<T>) row_max;
  decltype(&cloze::row_sums<T>) row_sums;
  decltype(&cloze::softmax_gradient<T>) softmax_gradient;
  decltype(&cloze::adamw<T, Accumulator<T>>) adamw;
  // total := what the function of this name returns; `total` is the device's too.
  void (*sum_of_squares)(const T* x, std::int64_t n, double* total);
  decltype(&cloze::ordered_sum<T>) ordered_sum;
  decltype(&cloze::ordered_max<T>) ordered_max;
  KernelScratch scratch;
};

// Of one type of whole numbers: sums and maxima of counts, which no layer computes.
template <class T>
struct CountTable {
  decltype(&cloze::count_sum<T>) ordered_sum;
  decltype(&cloze::count_max<T>) ordered_max;
};

struct Kernels {
  KernelTable<double> f64;
  KernelTable<float> f32;
  KernelTable<BFloat16> bf16;
  KernelTable<Float16> f16;
  CountTable<std::int64_t> i64;
  CountTable<std::int32_t> i32;
  CountTable<std::uint8_t> u8;
  decltype(&cloze::attention_backward_workspace) attention_backward_workspace;
  // Whether large products in fp32 are tile_product()'s; otherwise they are LibTorch's.
  bool uses_tiles = false;

  template <class T>
  const KernelTable<T>& of() const {
    if constexpr (std::is_same_v<T, double>) {
      return f64;
    } else if constexpr (std::is_same_v<T, float>) {
      return f32;
    } else if constexpr (std::is_same_v<T, BFloat16>) {
      return bf16;
    } else {
      static_assert(std::is_same_v<T, Float16>);
      return f16;
    }
  }
};

// Those of this folder.
const Kernels& cpu_kernels();
// The same with products on the tile unit: for processes that have it.
const Kernels& cpu_kernels_on_tiles();

}  // namespace cloze
