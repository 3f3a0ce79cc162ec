// What `cloze doctor` learns of GPUs: it opens what training on them opens, with the same
// functions, so that what is missing is told in the same words.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/device/nccl_library.h"
#include "parallel/gpu/vendor.h"
#include "trainer/doctor/gpus.h"

namespace cloze {

// Where each part comes from. All throw Error where it is missing.
struct GpuSources {
  const GpuVendor& vendor;
  std::function<void()> prepare_environment;
  std::function<std::filesystem::path()> open_torch;    // The file that was opened.
  std::function<std::filesystem::path()> open_kernels;  // The same.
  std::function<NcclLibrary()> open_nccl;
  std::function<bool()> nccl_shares;  // Between ranks on one GPU.
  std::function<void()> start;        // Computes on the first GPU; null: nobody tries.
};

// Those of `cloze train`. `vendor` outlives them.
GpuSources sources_of(const GpuVendor& vendor, bool also_start);

// Opens all of them. `progress` is told what was found so far, before each step and at the end.
GpuSetup look_for_gpus(const GpuSources& sources,
                       const std::function<void(const GpuSetup&)>& progress);

// The same in a copy of this process: a library that ends or stops its process, or that prints,
// does it there. Call it while the process has one thread.
GpuSetup look_in_copy(const GpuSources& sources, std::chrono::milliseconds limit);

// What all ranks have found, in rank order. Every rank calls it.
std::vector<RankGpus> gather_gpus(Communicator& world, const RankGpus& mine);

}  // namespace cloze
