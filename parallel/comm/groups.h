// The groups one rank belongs to: a communicator for each axis of the mesh, and those that cross
// axes.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/mpi_session.h"
#include "parallel/comm/nccl_session.h"
#include "parallel/mesh/mesh.h"

namespace cloze {

struct Groups {
  Mesh mesh;
  int world_rank;
  Coordinates at;  // Where this rank stands on the mesh.

  // For numbers and texts, always of the host: all ranks; those of `data`; and those with the same
  // data and context place, which together hold one model.
  std::unique_ptr<Communicator> world;
  std::unique_ptr<Communicator> data_on_host;
  std::unique_ptr<Communicator> model;

  // For tensors of the device that computes.
  std::unique_ptr<Communicator> tensor;
  std::unique_ptr<Communicator> data;
  std::unique_ptr<Communicator> context;
  // The stages in order. Activations and gradients travel apart, so that neither waits for the
  // other's order.
  std::unique_ptr<Communicator> pipeline_forward;
  std::unique_ptr<Communicator> pipeline_backward;
  // First and last stage, who share a tied embedding. A stage between is alone in a group of one.
  std::unique_ptr<Communicator> embedding;
  // Consecutive tensor ranks that hold the same kv head; one rank when there are enough heads.
  std::unique_ptr<Communicator> kv_replicas;
};

// `kv_replicas`: how many tensor ranks hold the same kv head; divides mesh.degrees().tensor.
// Every rank of the session calls it. Throws Error kUsage when the job has not as many ranks as
// the mesh, and says how to launch it.
Groups connect(const Mesh& mesh, MpiSession& session, int kv_replicas);

// The same for the thread that is `rank` of `world`.
Groups connect_local(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas);

// The same for tensors on GPUs. Every rank of the session calls it.
Groups connect_nccl(const Mesh& mesh, NcclSession& session, int rank, int kv_replicas,
                    const MakeGroup& on_host);

// The same for tensors on a device that no library carries between these ranks, such as one that
// they share: through the memory of their hosts.
Groups connect_staged(const Mesh& mesh, at::Device device, int rank, int kv_replicas,
                      const MakeGroup& on_host);

// Records the calls of all groups while the trace is on. Every rank of the world calls it.
void record_calls(const Groups& groups, Trace& trace);
// The trace is about to end its life.
void stop_recording(const Groups& groups);

// Throws Error kUsage when MPI sees `world_size` ranks, the launcher says it started
// `num_launched`, and that is not what the mesh needs.
void check_launch(const Mesh& mesh, int world_size, int num_launched);

// How many tasks the launcher says it started; 0 when no launcher says so.
int launched_tasks();

// OMP_NUM_THREADS as the user set it; 0 when it is not set. Throws Error kUsage when it is
// malformed: OpenMP would say a word and go on with another number.
int threads_of_environment();
// The first number of OpenMP's list "4" or "4,2": a rank has no threads inside its threads.
int first_of_thread_list(const std::string& text);

// The variables that change which bits the libraries compute, those that are set: MKL_CBWR and the
// like. Throws Error kUsage when MKL_CBWR names no mode: MKL would drop its promise silently.
std::map<std::string, std::string> numerics_of_environment();
void check_mkl_mode(const std::string& mode);

// To be called before CUDA and NCCL are. Unless the user has said otherwise, lets cuBLAS repeat its
// bits (CUBLAS_WORKSPACE_CONFIG), LibTorch's memory of a GPU grow in place (PYTORCH_ALLOC_CONF),
// and NCCL start the transfers of a GPU in the order of the program (NCCL_LAUNCH_ORDER_IMPLICIT).
void prepare_gpu_environment();
// Throws Error kUsage when NCCL_COMM_ID is set: it would replace the secret of a job by an address
// that anybody may join.
void check_gpu_environment();
// Whether the user lets NCCL, from 2.30 on, carry tensors between ranks on one GPU
// (NCCL_MULTI_RANK_GPU_ENABLE).
bool nccl_may_share_gpus();
void check_nccl_address(const char* address);  // What NCCL_COMM_ID is; null when it is not set.

}  // namespace cloze
