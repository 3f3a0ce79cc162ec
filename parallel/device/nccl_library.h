// The functions of NCCL that Cloze calls, as a table, with the few types of nccl.h that they take:
// their binary interface is NCCL's promise within major version 2. nccl_library_test.cc holds them
// against the header of a toolkit where there is one.
#pragma once

#include <climits>
#include <cstddef>
#include <string>

#include "parallel/device/cuda_runtime.h"

struct ncclComm;

namespace cloze {

using NcclComm = ncclComm*;  // ncclComm_t.
using NcclResult = int;      // ncclResult_t.

constexpr NcclResult kNcclSuccess = 0;
constexpr NcclResult kNcclRemoteError = 6;
constexpr NcclResult kNcclInProgress = 7;
constexpr int kNcclUint8 = 1;     // Of ncclDataType_t: NCCL moves bytes for us, sums are our own.
constexpr int kNcclNoColor = -1;  // NCCL_SPLIT_NOCOLOR: no member of any part.
// The oldest that knows all of NcclConfig.
constexpr int kOldestNccl = 22800;
// The oldest that carries tensors between ranks on one GPU, when NCCL_MULTI_RANK_GPU_ENABLE is 1.
constexpr int kOldestNcclOfOneGpu = 23000;

struct NcclUniqueId {
  char internal[128];
};

// ncclConfig_t of 2.28; a newer library reads `version` and takes it.
struct NcclConfig {
  std::size_t size = sizeof(NcclConfig);
  unsigned magic = 0xcafebeef;
  unsigned version = kOldestNccl;
  int blocking = 0;  // Calls return at once; comm_get_async_error says when they are done.
  int cga_cluster_size = INT_MIN;  // INT_MIN and null: NCCL chooses.
  int min_ctas = INT_MIN;
  int max_ctas = INT_MIN;
  const char* net_name = nullptr;
  int split_share = INT_MIN;
  int traffic_class = INT_MIN;
  const char* comm_name = nullptr;
  int collnet_enable = INT_MIN;
  int cta_policy = INT_MIN;
  int shrink_share = INT_MIN;
  int nvls_ctas = INT_MIN;
  int n_channels_per_net_peer = INT_MIN;
  int nvlink_centric_sched = INT_MIN;
};

// The names are NCCL's without their "nccl"; `type` is an ncclDataType_t.
struct NcclLibrary {
  NcclResult (*get_version)(int* version);
  NcclResult (*get_unique_id)(NcclUniqueId* id);
  NcclResult (*comm_init_rank)(NcclComm* comm, int num_ranks, NcclUniqueId id, int rank,
                               NcclConfig* config);
  NcclResult (*comm_split)(NcclComm comm, int color, int key, NcclComm* part, NcclConfig* config);
  NcclResult (*comm_finalize)(NcclComm comm);
  NcclResult (*comm_destroy)(NcclComm comm);
  NcclResult (*comm_abort)(NcclComm comm);
  NcclResult (*comm_get_async_error)(NcclComm comm, NcclResult* error);
  NcclResult (*group_start)();
  NcclResult (*group_end)();
  NcclResult (*all_gather)(const void* from, void* to, std::size_t count, int type, NcclComm comm,
                           CudaStream stream);
  NcclResult (*broadcast)(const void* from, void* to, std::size_t count, int type, int root,
                          NcclComm comm, CudaStream stream);
  NcclResult (*send)(const void* from, std::size_t count, int type, int peer, NcclComm comm,
                     CudaStream stream);
  NcclResult (*recv)(void* to, std::size_t count, int type, int peer, NcclComm comm,
                     CudaStream stream);
  const char* (*error_string)(NcclResult result);
  const char* (*last_error)(NcclComm comm);  // In words, of the calls of this communicator.
};

// Opens NCCL, or the library of that name, which has the same functions. Throws Error kUsage where
// there is none or where it is too old.
NcclLibrary open_nccl_library(const std::string& name = "libnccl.so.2");

// What it says of itself. Throws Error kTransient with its words when it says nothing.
int version_of(const NcclLibrary& nccl);

// Throws Error kUsage when NCCL of this version carries nothing between ranks on one GPU.
void check_nccl_of_one_gpu(int version);

// "2.28.9" of 22809.
std::string nccl_version_text(int version);

}  // namespace cloze
