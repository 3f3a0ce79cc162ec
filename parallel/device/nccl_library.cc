#include "parallel/device/nccl_library.h"

#include "parallel/base/check.h"
#include "parallel/device/shared_library.h"

namespace cloze {

NcclLibrary open_nccl_library(const std::string& name) {
  const std::string fix =
      str("install NCCL ", nccl_version_text(kOldestNccl), " or later, such as LibTorch's own");
  const SharedLibrary library({name}, fix);
  NcclLibrary nccl{};
  library.load(nccl.get_version, "ncclGetVersion");
  int version = 0;
  CLOZE_REQUIRE(
      nccl.get_version(&version) == kNcclSuccess && version >= kOldestNccl, ExitCode::kUsage,
      str(library.name(), " is NCCL ", nccl_version_text(version), ", which is too old"), fix);
  library.load(nccl.get_unique_id, "ncclGetUniqueId");
  library.load(nccl.comm_init_rank, "ncclCommInitRankConfig");
  library.load(nccl.comm_split, "ncclCommSplit");
  library.load(nccl.comm_finalize, "ncclCommFinalize");
  library.load(nccl.comm_destroy, "ncclCommDestroy");
  library.load(nccl.comm_abort, "ncclCommAbort");
  library.load(nccl.comm_get_async_error, "ncclCommGetAsyncError");
  library.load(nccl.group_start, "ncclGroupStart");
  library.load(nccl.group_end, "ncclGroupEnd");
  library.load(nccl.all_gather, "ncclAllGather");
  library.load(nccl.broadcast, "ncclBroadcast");
  library.load(nccl.send, "ncclSend");
  library.load(nccl.recv, "ncclRecv");
  library.load(nccl.error_string, "ncclGetErrorString");
  library.load(nccl.last_error, "ncclGetLastError");
  return nccl;
}

int version_of(const NcclLibrary& nccl) {
  int version = 0;
  const NcclResult result = nccl.get_version(&version);
  CLOZE_REQUIRE(result == kNcclSuccess, ExitCode::kTransient,
                str("asking for the version: NCCL says '", nccl.error_string(result), "'"),
                "start again; if it comes back, install NCCL again");
  return version;
}

void check_nccl_of_one_gpu(int version) {
  CLOZE_REQUIRE(version >= kOldestNcclOfOneGpu, ExitCode::kUsage,
                str("NCCL_MULTI_RANK_GPU_ENABLE is 1, but NCCL ", nccl_version_text(version),
                    " carries nothing between ranks on one GPU"),
                str("install NCCL ", nccl_version_text(kOldestNcclOfOneGpu),
                    " or later, or unset NCCL_MULTI_RANK_GPU_ENABLE: then tensors go through the "
                    "hosts' memory"));
}

std::string nccl_version_text(int version) {
  return str(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace cloze
