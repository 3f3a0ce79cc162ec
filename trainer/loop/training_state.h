// What one rank trains: its part of the model, its gradients, its share of the optimizer.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/comm/groups.h"
#include "parallel/data_parallel/gradient_reducer.h"
#include "parallel/pass/device_writer.h"
#include "parallel/pass/parameter.h"
#include "parallel/trace/trace.h"
#include "trainer/model/glm.h"
#include "trainer/optim/adamw.h"
#include "trainer/optim/loss_scaler.h"

namespace cloze {

class TrainingState {
 public:
  // `run` is resolved. Allocates everything and fills the weights from the run's seed. What the
  // training does is recorded in `trace`, when there is one. `kernels`: of the groups' device.
  TrainingState(const config::Run& run, const Groups& groups, Trace* trace = nullptr,
                const Kernels& kernels = cpu_kernels());
  TrainingState(const TrainingState&) = delete;
  TrainingState& operator=(const TrainingState&) = delete;

  const Groups& groups() const { return groups_; }
  const config::Run& run() const { return run_; }
  Trace* trace() const { return trace_; }
  ParameterTable& table() { return table_; }
  const Glm& glm() const { return glm_; }
  GradientReducer& reducer() { return reducer_; }
  AdamW& optimizer() { return optimizer_; }
  LossScaler& scaler() { return scaler_; }
  at::ScalarType compute_type() const { return table_.compute_type(); }
  at::Device device() const { return tp_.group.device(); }  // That holds all of it.
  TensorParallel tensor_parallel() const { return tp_; }
  // Brings batches and weights to the device; null on the CPU.
  const DeviceWriter* writer() const { return writer_ ? &*writer_ : nullptr; }

  // Adds the head's gradient of a tied table to the embedding's, on the stage that owns it, and
  // lets the sum over data ranks begin. After the last microbatch of a step.
  void sum_tied_uses();
  // Spreads updated values: over data ranks, and to the other use of a tied table.
  void publish_values();

 private:
  static ParameterTable& allocated(ParameterTable& table, const config::Run& run,
                                   at::Device device);

  const config::Run run_;
  const Groups& groups_;
  Trace* const trace_;
  const TensorParallel tp_;
  ParameterTable table_;
  const Glm glm_;
  GradientReducer reducer_;
  AdamW optimizer_;
  LossScaler scaler_;
  std::optional<DeviceWriter> writer_;
};

// The element type of a run's activations and weights.
at::ScalarType compute_type_of(const config::Precision& precision);

}  // namespace cloze
