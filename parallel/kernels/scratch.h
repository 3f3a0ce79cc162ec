// What a device's kernels take of its memory for themselves while they run, beside what they are
// given: bytes, for plans of memory. None on the CPU.
#pragma once

#include <cstdint>

#include "parallel/kernels/attention.h"

namespace cloze {

// Of one element type.
struct KernelScratch {
  // Of rows [n, hidden], and of dy [n, f].
  std::int64_t (*norm_backward)(std::int64_t n, std::int64_t hidden);
  std::int64_t (*bias_gradient)(std::int64_t n, std::int64_t f);
  std::int64_t (*embedding_backward)(std::int64_t n);  // Of n tokens.
  // `drops`: with dropout. Where the shape names samples, their numbers count and not their arrays.
  std::int64_t (*attention_forward)(const AttentionShape& shape, bool drops);
  std::int64_t (*attention_backward)(const AttentionShape& shape, bool drops);
};

inline constexpr KernelScratch kNoScratch = {
    .norm_backward = [](std::int64_t, std::int64_t) { return std::int64_t{0}; },
    .bias_gradient = [](std::int64_t, std::int64_t) { return std::int64_t{0}; },
    .embedding_backward = [](std::int64_t) { return std::int64_t{0}; },
    .attention_forward = [](const AttentionShape&, bool) { return std::int64_t{0}; },
    .attention_backward = [](const AttentionShape&, bool) { return std::int64_t{0}; }};

}  // namespace cloze
