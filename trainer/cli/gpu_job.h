// What a job on GPUs has beside one on CPUs: each rank's GPU, and the groups that carry its
// tensors.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "parallel/comm/groups.h"
#include "parallel/comm/mpi_session.h"
#include "parallel/comm/nccl_session.h"
#include "parallel/device/nccl_library.h"
#include "parallel/gpu/gpu.h"
#include "trainer/loop/compute_device.h"

namespace cloze {

struct GpuJobOptions {
  // Ranks of a host may share a GPU; then all groups go through the memory of the hosts, unless
  // nccl_may_share_gpus().
  bool share_gpus = false;
  // Where a rank writes down the calls of its groups when one of them fails.
  std::filesystem::path record_folder;
};

// Every rank calls it before NCCL is started, with its GPU. Throws Error kUsage, on all of them,
// when two ranks have one GPU and this NCCL carries nothing between them: NCCL itself would fail as
// if a restart helped.
void check_ranks_of_one_gpu(Communicator& world, const NcclLibrary& nccl, const CudaUuid& uuid);

// What the bits of a GPU's numbers depend on beside the build: its name, its runtime, driver and
// NCCL, where that is used.
std::map<std::string, std::string> numerics_of_gpu(const std::string& name, const CudaRuntime& cuda,
                                                   const NcclLibrary* nccl);

class GpuJob {
 public:
  // Every rank of the session calls it, with its GPU. Throws Error kUsage when two ranks have one
  // GPU and may not, or NCCL is missing or too old for what is asked.
  GpuJob(const Gpu& gpu, MpiSession& session, Communicator& world, const GpuJobOptions& options);
  GpuJob(const GpuJob&) = delete;
  GpuJob& operator=(const GpuJob&) = delete;

  // Every rank calls it. The job outlives the groups.
  Groups connect(const Mesh& mesh, int kv_replicas);

  ComputeDevice device() const;
  // What the bits of its numbers depend on, for the checkpoint.
  std::map<std::string, std::string> numerics() const;

 private:
  NcclDevice nccl_device() const;

  const Gpu& gpu_;
  MpiSession& session_;
  std::optional<NcclLibrary> nccl_library_;  // Neither where ranks share GPUs or there is but one.
  std::optional<NcclSession> nccl_;
};

}  // namespace cloze
