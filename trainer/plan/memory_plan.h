// What the tensors of a rank will take, by the byte, before the first step: parameters, gradients
// and the optimizer's state as they are, and a step's tensors by running its allocations alone.
#pragma once

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/mesh.h"
#include "parallel/pass/parameter.h"
#include "parallel/schedule/schedule.h"
#include "trainer/model/glm.h"

namespace cloze {

// Bytes of one rank, in blocks of the caching allocator.
struct MemoryPlan {
  std::int64_t parameters = 0;   // Values in the compute type.
  std::int64_t gradients = 0;    // Sums in the accumulator's type.
  std::int64_t optimizer = 0;    // Moments, fp32 masters, ZeRO 1's own rows.
  std::int64_t activations = 0;  // The most that forward and backward hold at a time, borders too.
  std::int64_t reduction = 0;    // The most that sums over data ranks hold at a time.
  std::int64_t peak = 0;         // The high water: not all of these are there at once.

  std::int64_t kept() const { return parameters + gradients + optimizer; }
};

// Of the rank at `at`, which has `part` of the model and its parameters in `table`. `schedule` is
// the step's.
MemoryPlan plan_memory(const config::Run& run, const Degrees& degrees, const Coordinates& at,
                       const StagePart& part, const ParameterTable& table, const Schedule& schedule,
                       const Kernels& kernels);

}  // namespace cloze
