// Work of a step, and the rate at which this machine could do it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "parallel/comm/communicator.h"
#include "trainer/loop/train_step.h"

namespace cloze {

// Floating-point operations of forward and backward, nothing recomputed and no padding: 6 a matrix
// element and token, 6 a head element and target, 12 a channel and (query, key) pair that attention
// sees.
double step_flops(const config::Model& model, const StepReport& report);

// FLOP/s of a square product of this size on this rank, the best of some: fp32 on the CPU, or what
// `options` say. 768 takes 0.1 s there and serves where a run begins.
double matrix_rate(std::int64_t size = 768, const at::TensorOptions& options = at::kFloat);

// The same of all ranks at once, summed over them.
double measured_peak(Communicator& world, std::int64_t size = 768);
// Of a run's device; where that is not the CPU, of the run's element type.
double measured_peak(Communicator& world, const TrainingState& state);

// The largest memory this process has had, bytes.
std::int64_t peak_memory_bytes();

}  // namespace cloze
