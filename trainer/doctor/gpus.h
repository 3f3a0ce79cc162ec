// The GPUs that a rank sees and the libraries that training on them opens, as values, and what they
// mean.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// Something that training on GPUs needs. All empty: nobody has looked.
struct GpuPart {
  std::string found{};    // Its version, or the digest of its file.
  std::string detail{};   // Where it is.
  std::string problem{};  // Why it cannot be used, in the words of `cloze train`.
  std::string fix{};

  bool operator==(const GpuPart&) const = default;
};

struct GpuFound {
  std::string name{};
  std::string uuid{};        // "GPU-5a1e...".
  std::string capability{};  // "9.0"; empty where the vendor has none.
  std::int64_t memory_bytes = 0;
  std::string problem{};  // Why there are no kernels for it.
  std::string fix{};

  bool operator==(const GpuFound&) const = default;
};

// What one process has found.
struct GpuSetup {
  std::string doing{};  // What it was trying when it ended; empty when it had done everything.
  std::string ended{};  // How it ended before it was done: "ends with 139".
  GpuPart environment{};
  GpuPart runtime{};  // With the driver's library.
  GpuPart driver{};
  GpuPart visible{};  // Only a problem: why no GPU is seen.
  std::vector<GpuFound> gpus{};
  GpuPart torch{};
  GpuPart kernels{};
  GpuPart nccl{};
  GpuPart start{};           // A computation on the first GPU; tried by a process that is alone.
  bool nccl_shares = false;  // NCCL is to carry tensors between ranks on one GPU.
  GpuPart sharing{};         // Only a problem: why it would not.

  bool operator==(const GpuSetup&) const = default;
};

std::string pack(const GpuSetup& setup);
// Throws std::exception when `text` is no such text.
GpuSetup unpack_gpus(const std::string& text);

struct GpuWish {
  bool is_asked = false;  // What is missing is a failure, as it is for `cloze train --device`.
  bool share_gpus = false;
  int world_size = 1;
  std::vector<std::string> accelerators{};  // Of /dev.
};

// gpu, gpu.device of each, gpu.environment, .driver, .runtime, .torch, .kernels, .nccl and, where
// it was tried, .start: of one rank. On a host without GPUs nothing is wrong unless it is asked
// for.
std::vector<CheckResult> check_gpus(const GpuSetup& setup, const GpuWish& wish);

// gpu and gpu.nccl where the user wants no GPU.
std::vector<CheckResult> skip_gpus();

struct RankGpus {
  int rank = 0;
  std::string host{};
  int place = 0;  // Among the ranks of its host: it takes the GPU of that number.
  GpuSetup setup{};
};

// gpu.ranks, and on several hosts or where ranks differ alike.gpu, .gpu_driver, .gpu_runtime,
// .gpu_kernels and .nccl. None when no rank sees a GPU and nobody asks for one.
std::vector<CheckResult> check_gpus_of_job(const std::vector<RankGpus>& ranks, const GpuWish& wish);

}  // namespace cloze
