// The tensor cores' product of small matrices, and how shared memory feeds it. Each function has
// a second body for the emulator. Lane l of a warp is number l % 4 of group l / 4.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "parallel/kernels/cuda/device.h"

namespace cloze::cuda {

// Two 16-bit elements as a tensor core takes them, the first in the low half.
template <class T>
__device__ inline std::uint32_t pair_of(float first, float second) {
  static_assert(sizeof(T) == 2);
  return static_cast<std::uint32_t>(static_cast<T>(first).bits) |
         static_cast<std::uint32_t>(static_cast<T>(second).bits) << 16;
}

// c [16, 8] += a [16, 16] b [16, 8]. Group g, number n of it holds
//   a: (g, 2 n), (g + 8, 2 n), (g, 2 n + 8), (g + 8, 2 n + 8), each with the element right of it;
//   b: (2 n, g), (2 n + 8, g), each with the element below it;
//   c: (g, 2 n), (g, 2 n + 1), (g + 8, 2 n), (g + 8, 2 n + 1).
template <class T>
__device__ inline void multiply_tensor(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                       std::uint32_t b1) {
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#else
  const std::uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const unsigned char* const all = emulator::exchange(mine, sizeof(mine));
  const auto element = [&](unsigned lane, unsigned word, unsigned half) {
    T value;
    std::memcpy(static_cast<void*>(&value),
                all + lane * emulator::kExchangeBytes + word * 4 + half * 2, 2);
    return static_cast<float>(value);
  };
  const unsigned group = threadIdx.x % 32 / 4;
  const unsigned number = threadIdx.x % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned column = 2 * number + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned place = k % 8 / 2;
      const unsigned upper = k / 8;
      c[i] += element(group * 4 + place, i / 2 + 2 * upper, k % 2) *
              element(column * 4 + place, 4 + upper, k % 2);
    }
  }
#endif
}

// Four 8 x 8 matrices of 16-bit elements from shared memory; lane 8 m + r gives the address of row
// r of matrix m, 16 bytes aligned. Group g, number n gets of matrix m, in words[m], elements
// (g, 2 n) and (g, 2 n + 1), or with kTransposed (2 n, g) and (2 n + 1, g).
template <bool kTransposed, class T>
__device__ inline void load_matrices(std::uint32_t (&words)[4], const T* row) {
#ifdef __CUDACC__
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
  }
#else
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) std::abort();
  const unsigned char* const all = emulator::exchange(&row, sizeof(const T*));
  const auto row_of = [&](unsigned matrix, unsigned r) {
    const T* of_lane = nullptr;
    std::memcpy(&of_lane, all + (8 * matrix + r) * emulator::kExchangeBytes, sizeof(const T*));
    return of_lane;
  };
  const unsigned group = threadIdx.x % 32 / 4;
  const unsigned number = threadIdx.x % 4;
  for (unsigned m = 0; m < 4; ++m) {
    const T first = kTransposed ? row_of(m, 2 * number)[group] : row_of(m, group)[2 * number];
    const T second =
        kTransposed ? row_of(m, 2 * number + 1)[group] : row_of(m, group)[2 * number + 1];
    words[m] = static_cast<std::uint32_t>(first.bits) | static_cast<std::uint32_t>(second.bits)
                                                            << 16;
  }
#endif
}

// Starts to [8] = from [8], or zeros; 16 bytes aligned both, `to` in shared memory. `from` is not
// read unless `inside`. Done when this thread has called wait_copies(), for others after a barrier.
template <class T>
__device__ inline void start_copy_or_zero(T* to, const T* from, bool inside) {
  static_assert(sizeof(T) == 2);
#ifdef __CUDACC__
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = inside ? 16 : 0;  // The rest of 16 becomes zeros.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(address), "l"(__cvta_generic_to_global(from)), "r"(bytes)
               : "memory");
#else
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0) std::abort();
  if (inside && reinterpret_cast<std::uintptr_t>(from) % 16 != 0) std::abort();
  emulator::start_copy(to, inside ? from : nullptr);
#endif
}

// Until all copies that this thread has started are done.
__device__ inline void wait_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_all;" ::: "memory");
#else
  emulator::wait_copies();
#endif
}

}  // namespace cloze::cuda
