// Work of a step, and the rate at which this machine could do it.
#pragma once

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "parallel/comm/communicator.h"
#include "trainer/loop/train_step.h"

namespace cloze {

// Floating-point operations of forward and backward, nothing recomputed and no padding: 6 a matrix
// element and token, 6 a head element and target, 12 a channel and (query, key) pair that attention
// sees.
double step_flops(const config::Model& model, const StepReport& report);

// FLOP/s of a square fp32 product of this size on this rank, the best of some. 768 takes 0.1 s and
// serves where a run begins.
double matrix_rate(std::int64_t size = 768);

// The same of all ranks at once, summed over them.
double measured_peak(Communicator& world, std::int64_t size = 768);

// The largest memory this process has had, bytes.
std::int64_t peak_memory_bytes();

}  // namespace cloze
