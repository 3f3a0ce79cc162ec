// What the training loop asks of the device that computes, beside its groups, which carry its
// tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "parallel/kernels/kernels.h"
#include "trainer/loop/throughput.h"

namespace cloze {

// The CPU unless it is set.
struct ComputeDevice {
  std::string name = {};  // "NVIDIA H100 80GB HBM3"; empty for the CPU.
  const Kernels& kernels = cpu_kernels();
  // The largest memory that it has had in use.
  std::function<std::int64_t()> peak_memory_bytes = &cloze::peak_memory_bytes;
};

}  // namespace cloze
