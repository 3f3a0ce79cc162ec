// What the training loop asks of the device that computes, beside its groups, which carry its
// tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "configs/schema/run.pb.h"
#include "parallel/comm/communicator.h"
#include "parallel/kernels/kernels.h"
#include "trainer/loop/throughput.h"

namespace cloze {

struct ComputeDevice {
  std::string name = {};  // "NVIDIA H100 80GB HBM3"; empty for the CPU.
  const Kernels& kernels = cpu_kernels();
  std::int64_t memory_bytes = 0;  // Of a rank's device; 0 where ranks share the host's.
  // The largest memory that it has had in use.
  std::function<std::int64_t()> peak_memory_bytes = &cloze::peak_memory_bytes;
};

// The CPU, which multiplies as precision.products says. Called by all ranks. Throws Error
// kUsage when the run wants tiles and some process has none.
ComputeDevice cpu_device(const config::Run& run, Communicator& world);

// Which of a CPU's ways to multiply changes the bits of a result.
std::map<std::string, std::string> numerics_of(const ComputeDevice& device);

}  // namespace cloze
