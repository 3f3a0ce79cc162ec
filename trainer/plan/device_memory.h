// How the memory of a device is counted, and what a step on it holds that one on the CPU does not.
#pragma once

#include <cstddef>
#include <cstdint>

#include "parallel/pass/caching_allocator.h"

namespace cloze {

struct DeviceMemory {
  // What the device's allocator takes for a tensor of so many bytes.
  std::int64_t (*block)(std::int64_t bytes);
  // Batches and tables are copied to it; its products take 16-bit factors as they are.
  bool is_cpu = true;
  // What its libraries keep from the first product on.
  std::int64_t library_bytes = 0;
};

// The CPU, with our allocator.
inline DeviceMemory cpu_memory() {
  return {.block = [](std::int64_t bytes) {
    return static_cast<std::int64_t>(block_bytes(static_cast<std::size_t>(bytes)));
  }};
}

// A GPU, with LibTorch's allocator, which rounds to 512 bytes (without the expandable segments of
// PYTORCH_ALLOC_CONF a tensor may get up to 1 MiB more), and cuBLAS's workspace of eight pieces of
// 4 MiB (CUBLAS_WORKSPACE_CONFIG).
inline DeviceMemory gpu_memory() {
  return {.block = [](std::int64_t bytes) { return (bytes + 511) / 512 * 512; },
          .is_cpu = false,
          .library_bytes = std::int64_t{8} * 4096 * 1024};
}

}  // namespace cloze
