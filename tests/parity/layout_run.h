// Trains a small model on any layout, ranks as threads, and collects the whole model's numbers, so
// that layouts can be compared element by element.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "data/sample_source.h"
#include "parallel/comm/groups.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/kernels/kernels.h"
#include "parallel/mesh/mesh.h"
#include "tests/support/simulated_gpus.h"
#include "trainer/loop/training_state.h"

namespace cloze {

// Whole tensors by name.
using GlobalTensors = std::map<std::string, at::Tensor>;

struct LayoutOutcome {
  GlobalTensors initial;    // Weights before step 1.
  GlobalTensors gradients;  // Of step 1, summed over the global batch, before clipping.
  GlobalTensors final;      // Weights after the last step.
  std::vector<double> losses;
  std::vector<double> norms;
};

// The batches of one rank for step `step` (from 0).
using BatchesOfStep = std::function<std::vector<Batch>(
    const config::Run& run, const Degrees& layout, const Coordinates& at, int step)>;

// Connects a rank and calls body with its groups.
using Connect = std::function<void(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas,
                                   const std::function<void(const Groups&)>& body)>;

// Groups of threads that hand each other copies.
void connect_threads(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas,
                     const std::function<void(const Groups&)>& body);

// Groups of NCCL on simulated GPUs, each rank with a session of its options.
Connect connect_gpus(
    SimulatedGpus& gpus,
    std::function<NcclSession::Options(int rank)> options = [](int) -> NcclSession::Options {
      return {.deadline = std::chrono::seconds(60)};
    });

// Sets the layout in `run` and trains `steps` steps, from `weights` where given, else from the
// run's seed. Throws when two ranks that hold the same
// element disagree in a bit, or when an element is nobody's.
LayoutOutcome train_on(config::Run run, const Degrees& layout, int steps,
                       const BatchesOfStep& batches, double learning_rate = 1e-3, int threads = 1,
                       const GlobalTensors& weights = {}, const Connect& connect = connect_threads,
                       const Kernels& kernels = cpu_kernels());

// Rows of blank infilling made of random text with document ends.
BatchesOfStep sampled_batches(const config::Run& run);

// A model of eight layers that every layout of up to eight ranks can cut, two key/value heads, and
// a vocabulary and a batch that tensor ranks do not divide.
config::Run small_run(config::Model::Family family, config::Precision::Compute compute);

// Calls body(state) on every rank of a layout, with the model built and initialised.
void on_layout(config::Run run, const Degrees& layout,
               const std::function<void(TrainingState&)>& body,
               const Connect& connect = connect_threads, const Kernels& kernels = cpu_kernels());

// Fills a rank's values from whole tensors.
void set_values(TrainingState& state, const GlobalTensors& weights);

// The whole tensors' parts on one rank, of `part(parameter)` for each parameter that it holds.
class GlobalCollector {
 public:
  // Not for several threads at once.
  void add(const std::string& name, const Box& box, const at::Tensor& of_device);
  // Checks that every element was given.
  GlobalTensors finish() const;

 private:
  GlobalTensors tensors_;
  GlobalTensors given_;  // 1 where an element was given.
};

// Masters, moments and the values that the model computes with.
void collect_state(TrainingState& state, GlobalCollector& collector);

// The largest absolute difference over its tensor's largest magnitude, over all tensors.
double relative_difference(const GlobalTensors& a, const GlobalTensors& b);
bool same_bits(const GlobalTensors& a, const GlobalTensors& b);
// The 20 layouts of 1, 2, 4 and 8 ranks.
std::vector<Degrees> all_layouts();
// "tensor 2 x pipeline 4 x data 1"
std::string name_of(const Degrees& layout);

}  // namespace cloze
