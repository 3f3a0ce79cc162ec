// The door of libcloze_cuda.so, which holds the kernels of a GPU and is opened when a run asks for
// one: the program itself needs nothing of CUDA. The library calls back for what is LibTorch's.
#pragma once

#include <cstdint>

#include "parallel/kernels/cuda/stream.h"
#include "parallel/kernels/kernels.h"

namespace cloze::cuda {

// What the kernels ask of the program.
struct GpuHost {
  Stream (*stream)();  // That the calling thread computes on now.
  // Memory of the device that is used again only by what that stream does after release().
  void* (*allocate)(std::int64_t bytes);
  void (*release)(void* memory);
};

// Changes with what the two sides must agree on, so that a library of another build is refused.
constexpr std::uint64_t kLibraryInterface = std::uint64_t{1} << 48 | sizeof(Kernels) << 24 |
                                            sizeof(AttentionShape) << 16 |
                                            sizeof(AttentionDropout) << 8 | sizeof(AdamWStep);

}  // namespace cloze::cuda

// The two functions that are seen from outside. NOLINTBEGIN(readability-identifier-naming)
extern "C" {

// kLibraryInterface of the library.
[[gnu::visibility("default")]] std::uint64_t cloze_gpu_interface();

// The kernels, which call `host`, a copy of which they keep. Before any of them is called.
[[gnu::visibility("default")]] const cloze::Kernels* cloze_gpu_kernels(
    const cloze::cuda::GpuHost* host);

}  // NOLINTEND(readability-identifier-naming)
