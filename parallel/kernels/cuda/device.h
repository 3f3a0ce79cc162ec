// The language that kernels are written in. CUDA's compiler makes GPU code of a .cu file; any
// other C++ compiler makes code that emulator.h runs on the CPU, for the tests.
//
// Rules that keep both possible: every kernel is launched by CLOZE_LAUNCH, shared memory comes
// from the two macros below, blocks are one-dimensional and of whole warps, every lane of a warp
// takes part in its shuffles, and what only PTX can say stands in a function with a second body.
#pragma once

#include <cstddef>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/shared_memory.h"
#include "parallel/kernels/cuda/stream.h"

#ifdef __CUDACC__

#include <cuda_runtime.h>

#include "parallel/base/check.h"
#include "parallel/kernels/cuda/launch_error.h"

// call: what was asked, made only where it failed.
#define CLOZE_CHECK_LAUNCH(error, call)                                                    \
  do {                                                                                     \
    const cudaError_t launched = (error);                                                  \
    if (launched != cudaSuccess) {                                                         \
      ::cloze::cuda::fail_launch(launched, (call), cudaGetErrorString(launched), __FILE__, \
                                 __LINE__);                                                \
    }                                                                                      \
  } while (false)

// kernel: a pointer to a __global__ function. The grid must not be empty.
#define CLOZE_LAUNCH(kernel, grid, block, shared, stream, ...)                     \
  do {                                                                             \
    ::cloze::cuda::allow_shared((kernel), (shared));                               \
    (kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__);                \
    CLOZE_CHECK_LAUNCH(cudaGetLastError(), ::cloze::str("a kernel was to start")); \
  } while (false)

// `bytes` of the launch, as name: unsigned char*.
#define CLOZE_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

#define CLOZE_PRAGMA(text) _Pragma(#text)
#define CLOZE_UNROLL _Pragma("unroll")
#define CLOZE_UNROLL_BY(times) CLOZE_PRAGMA(unroll times)

// An array of the block, of a size known to the compiler.
#define CLOZE_SHARED_ARRAY(type, name, count) __shared__ __align__(16) type name[count]

namespace cloze::cuda {

static_assert(kCudaLaunchErrors == std::array<int, 3>{cudaErrorInvalidValue,
                                                      cudaErrorInvalidConfiguration,
                                                      cudaErrorLaunchOutOfResources});
static_assert(kCudaKernelErrors ==
              std::array<int, 6>{cudaErrorInvalidDeviceFunction, cudaErrorNoKernelImageForDevice,
                                 cudaErrorInvalidPtx, cudaErrorJitCompilerNotFound,
                                 cudaErrorUnsupportedPtxVersion, cudaErrorJitCompilationDisabled});
static_assert(kCudaSetupErrors == std::array<int, 5>{cudaErrorStubLibrary,
                                                     cudaErrorInsufficientDriver, cudaErrorNoDevice,
                                                     cudaErrorSystemDriverMismatch,
                                                     cudaErrorCompatNotSupportedOnDevice});
static_assert(kCudaMemoryAllocation == cudaErrorMemoryAllocation &&
              kCudaLaunchFailure == cudaErrorLaunchFailure);

// Bytes of shared memory that a block may have on the GPU that this thread computes on.
inline std::size_t shared_of_gpu() {
  int gpu = 0;
  int bytes = 0;
  CLOZE_CHECK_LAUNCH(cudaGetDevice(&gpu), str("which GPU this thread computes on"));
  CLOZE_CHECK_LAUNCH(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu),
                     str("how much shared memory GPU ", gpu, " has"));
  return static_cast<std::size_t>(bytes);
}

// Kernels may have 48 KiB of dynamic shared memory; more is asked for.
template <class Kernel>
void allow_shared(Kernel kernel, std::size_t bytes) {
  if (bytes <= 48 * 1024) return;
  CLOZE_CHECK_LAUNCH(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(bytes)),
                     str("a kernel needs ", bytes, " bytes of shared memory"));
}

}  // namespace cloze::cuda

#else

#include "parallel/kernels/cuda/emulator.h"

namespace cloze::cuda {

inline std::size_t shared_of_gpu() { return emulator::shared_of_gpu(); }

}  // namespace cloze::cuda

#define CLOZE_LAUNCH(kernel, grid, block, shared, stream, ...)                                   \
  do {                                                                                           \
    static_cast<void>(stream);                                                                   \
    ::cloze::cuda::emulator::run((grid), (block), (shared), (kernel)__VA_OPT__(, ) __VA_ARGS__); \
  } while (false)
#define CLOZE_DYNAMIC_SHARED(name) \
  unsigned char* const name = ::cloze::cuda::emulator::dynamic_shared()
#define CLOZE_SHARED_ARRAY(type, name, count)                                            \
  static thread_local ::cloze::cuda::emulator::SharedArray<type, (count)> name##_memory; \
  type* const name = name##_memory.of_block()

#define CLOZE_UNROLL
#define CLOZE_UNROLL_BY(times)

// The names are CUDA's. NOLINTBEGIN(bugprone-reserved-identifier)
#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __syncthreads() ::cloze::cuda::emulator::block_barrier(__LINE__)
#define __syncwarp() static_cast<void>(::cloze::cuda::emulator::exchange(nullptr, 0))
#define threadIdx (::cloze::cuda::emulator::place().thread)
#define blockIdx (::cloze::cuda::emulator::place().block)
#define blockDim (::cloze::cuda::emulator::place().block_size)
#define gridDim (::cloze::cuda::emulator::place().grid_size)
// NOLINTEND(bugprone-reserved-identifier)

#endif
