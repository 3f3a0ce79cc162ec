// Elements of storage and how kernels read and write them: one by one, or N at a time as one
// access of up to 16 bytes.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "parallel/base/check.h"
#include "parallel/base/dtype.h"
#include "parallel/kernels/cuda/device.h"

namespace cloze::cuda {

// Elements of a 16-byte access.
template <class T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));

// Whether rows of `row` elements at these addresses (null ones aside) may be read kVector<T> at a
// time. Chosen on the host, once a call.
template <class T>
bool vectors_fit(std::int64_t row, std::initializer_list<const void*> pointers) {
  if (row % kVector<T> != 0) return false;
  for (const void* pointer : pointers) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % 16 != 0) return false;
  }
  return true;
}

// Calls launch(width), where width.value is kVector<T> or 1.
template <class T, class Launch>
void with_width(bool vectors, const Launch& launch) {
  if (vectors) {
    launch(std::integral_constant<int, kVector<T>>{});
  } else {
    launch(std::integral_constant<int, 1>{});
  }
}

// N values in the type they are computed in.
template <class A, int N>
struct Values {
  A at[N];
};

// What one access moves.
template <int kBytes>
struct alignas(kBytes) AccessWords {
  std::uint32_t words[kBytes / 4];
};
template <>
struct AccessWords<2> {
  std::uint16_t words[1];
};

// Bytes of one access of a run of `bytes`.
constexpr int access_bytes(int bytes) { return bytes < 16 ? bytes : 16; }

// Reads from [N], aligned to its size or to 16 bytes.
template <int N, class T>
__device__ inline Values<Accumulator<T>, N> load(const T* from) {
  constexpr int kBytes = N * static_cast<int>(sizeof(T));
  constexpr int kAccess = access_bytes(kBytes);
  constexpr int kElements = kAccess / static_cast<int>(sizeof(T));
  Values<Accumulator<T>, N> values;
  CLOZE_UNROLL
  for (int access = 0; access < N / kElements; ++access) {
    T elements[kElements];
#ifdef __CUDACC__
    const auto words = reinterpret_cast<const AccessWords<kAccess>*>(from)[access];
    __builtin_memcpy(elements, &words, kAccess);
#else
    if (reinterpret_cast<std::uintptr_t>(from) % kAccess != 0) std::abort();
    std::memcpy(static_cast<void*>(elements), from + access * kElements, kAccess);
#endif
    CLOZE_UNROLL
    for (int i = 0; i < kElements; ++i) {
      values.at[access * kElements + i] = static_cast<Accumulator<T>>(elements[i]);
    }
  }
  return values;
}

// Writes to [N], aligned likewise, rounded to T.
template <int N, class T, class A>
__device__ inline void store(T* to, const Values<A, N>& values) {
  constexpr int kBytes = N * static_cast<int>(sizeof(T));
  constexpr int kAccess = access_bytes(kBytes);
  constexpr int kElements = kAccess / static_cast<int>(sizeof(T));
  CLOZE_UNROLL
  for (int access = 0; access < N / kElements; ++access) {
    T elements[kElements];
    CLOZE_UNROLL
    for (int i = 0; i < kElements; ++i) {
      elements[i] = static_cast<T>(values.at[access * kElements + i]);
    }
#ifdef __CUDACC__
    AccessWords<kAccess> words;
    __builtin_memcpy(&words, elements, kAccess);
    reinterpret_cast<AccessWords<kAccess>*>(to)[access] = words;
#else
    if (reinterpret_cast<std::uintptr_t>(to) % kAccess != 0) std::abort();
    std::memcpy(static_cast<void*>(to + access * kElements), elements, kAccess);
#endif
  }
}

// What a store into T and a load leave of a value.
template <class T>
__device__ inline Accumulator<T> round_to(Accumulator<T> value) {
  return static_cast<Accumulator<T>>(static_cast<T>(value));
}

// By names of their own: outside CUDA, sqrt of a float may mean that of a double.
__device__ inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double multiply_add(double a, double b, double c) { return fma(a, b, c); }
__device__ inline float square_root(float x) { return sqrtf(x); }
__device__ inline double square_root(double x) { return sqrt(x); }
__device__ inline float logarithm(float x) { return logf(x); }
__device__ inline double logarithm(double x) { return log(x); }
__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }

// A grid for `count` pieces of work whose blocks go on in strides of the grid.
inline unsigned grid_of(std::int64_t count, std::int64_t largest = std::int64_t{1} << 20) {
  return static_cast<unsigned>(count < largest ? count : largest);
}

// A grid of `blocks` blocks, each of which has one piece of work.
inline unsigned whole_grid(std::int64_t blocks) {
  CLOZE_CHECK(blocks >= 1 && blocks <= INT32_MAX, str("a grid of ", blocks, " blocks"),
              "report this with the sizes of the call");
  return static_cast<unsigned>(blocks);
}

// Threads for `count` pieces of work of a block: whole warps, at most `largest`.
inline unsigned threads_of(std::int64_t count, unsigned largest) {
  const std::int64_t warps = (count + 31) / 32;
  const std::int64_t threads = warps < 1 ? 32 : warps * 32;
  return threads < largest ? static_cast<unsigned>(threads) : largest;
}

}  // namespace cloze::cuda
