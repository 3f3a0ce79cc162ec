#include "trainer/cli/gpu_job.h"

#include <ATen/ATen.h>

#include <set>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/cli/gpu_reduction.h"
#include "trainer/cli/report_error.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

// The rank itself may be waiting for one that is gone.
void tell_failure(MpiSession& session, const std::filesystem::path& folder, const Error& error,
                  const std::string& calls) {
  const std::filesystem::path path = folder / str("nccl-calls-", session.world_rank(), ".json");
  std::string where;
  try {
    make_directories(folder);
    write_file_atomically(path, calls);
    where = str("; the last calls are in ", path.string());
  } catch (const Error& unwritten) {
    where = str("; the last calls could not be written: ", unwritten.problem());
  }
  if (session.claim_report()) {
    report_error(Error(error.code(), error.problem() + where, error.fix()), session.world_rank(),
                 "collective");
  }
}

}  // namespace

void check_ranks_of_one_gpu(Communicator& world, const NcclLibrary& nccl, const CudaUuid& uuid) {
  const std::vector<std::string> gpus = gather_texts(world, text_of(uuid));
  if (std::set<std::string>(gpus.begin(), gpus.end()).size() == gpus.size()) return;
  together(world, [&] { check_nccl_of_one_gpu(version_of(nccl)); });
}

std::map<std::string, std::string> numerics_of_gpu(const std::string& name, const CudaRuntime& cuda,
                                                   const NcclLibrary* nccl) {
  int runtime = 0;
  cuda.check(cuda.runtime_version(&runtime), "asking for the runtime's version");
  std::map<std::string, std::string> numerics = {
      {"gpu", name}, {"gpu_runtime", str(runtime)}, {"gpu_driver", driver_text(cuda)}};
  if (nccl != nullptr) numerics["nccl"] = nccl_version_text(version_of(*nccl));
  return numerics;
}

GpuJob::GpuJob(const Gpu& gpu, MpiSession& session, Communicator& world,
               const GpuJobOptions& options)
    : gpu_(gpu), session_(session) {
  if (session.world_size() == 1) return;
  if (options.share_gpus) {
    const bool by_nccl = nccl_may_share_gpus();
    require_same(world, by_nccl ? "1" : "", "NCCL_MULTI_RANK_GPU_ENABLE");
    if (!by_nccl) return;
  }
  together(world, [&] { nccl_library_.emplace(open_nccl_library(gpu.vendor().collectives)); });
  if (options.share_gpus) check_ranks_of_one_gpu(world, *nccl_library_, gpu.uuid());
  nccl_.emplace(
      nccl_device(), world,
      NcclSession::Options{
          .deadline = session.deadline(),
          .share_gpus = options.share_gpus,
          .check_environment = &check_gpu_environment,
          .on_failure =
              [&session, folder = options.record_folder](const Error& error,
                                                         const std::string& calls) {
                tell_failure(session, folder, error, calls);
              },
          .after_abort = [&session](const Error& error) { session.abort(error.code()); }});
}

NcclDevice GpuJob::nccl_device() const {
  return {.cuda = gpu_.cuda(),
          .nccl = *nccl_library_,
          .ordinal = gpu_.device().index(),
          .tensors = gpu_.device(),
          .uuid = gpu_.uuid(),
          .compute_stream = &compute_stream,
          .reduce =
              [&kernels = gpu_.kernels()](void* output, std::span<const void* const> parts,
                                          std::int64_t count, at::ScalarType dtype, ReduceOp op,
                                          CudaStream stream) {
                const StreamScope scope(stream);
                reduce_by_kernels(kernels, output, parts, count, dtype, op);
              },
          .make_bytes =
              [device = gpu_.device()](std::int64_t bytes) {
                return at::empty({bytes}, at::TensorOptions(device).dtype(at::kByte));
              }};
}

Groups GpuJob::connect(const Mesh& mesh, int kv_replicas) {
  check_launch(mesh, session_.world_size(), launched_tasks());
  const int rank = session_.world_rank();
  const MakeGroup on_host = session_.make_group();
  return nccl_ ? connect_nccl(mesh, *nccl_, rank, kv_replicas, on_host)
               : connect_staged(mesh, gpu_.device(), rank, kv_replicas, on_host);
}

std::map<std::string, std::string> GpuJob::numerics() const {
  return numerics_of_gpu(gpu_.name(), gpu_.cuda(), nccl_library_ ? &*nccl_library_ : nullptr);
}

ComputeDevice GpuJob::device() const {
  return {.name = gpu_.name(),
          .kernels = gpu_.kernels(),
          .memory_bytes = gpu_.memory_bytes(),
          .peak_memory_bytes = [this] { return gpu_.peak_tensor_bytes(); }};
}

}  // namespace cloze
