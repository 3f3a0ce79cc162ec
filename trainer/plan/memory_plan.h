// What the tensors of a rank will take, by the byte, before the first step: parameters, gradients
// and the optimizer's state as they are, and a step's tensors by running its allocations alone.
#pragma once

#include <cstdint>
#include <functional>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/mesh.h"
#include "parallel/pass/parameter.h"
#include "parallel/schedule/schedule.h"
#include "trainer/model/glm.h"
#include "trainer/plan/device_memory.h"

namespace cloze {

// Bytes of one rank, in blocks of the device's allocator.
struct MemoryPlan {
  std::int64_t parameters = 0;   // Values in the compute type.
  std::int64_t gradients = 0;    // Sums in the accumulator's type.
  std::int64_t optimizer = 0;    // Moments, fp32 masters, ZeRO 1's own rows.
  std::int64_t activations = 0;  // The most that forward and backward hold at a time, borders too.
  std::int64_t reduction = 0;    // The most that sums over data ranks hold at a time.
  std::int64_t libraries = 0;    // What the device's libraries and our tables keep.
  std::int64_t peak = 0;         // The high water: not all of these are there at once.

  std::int64_t kept() const { return parameters + gradients + optimizer + libraries; }
};

// What the plan asks of the device.
struct PlannedDevice {
  DeviceMemory memory = cpu_memory();
  const Kernels& kernels = cpu_kernels();
  // Bytes that a sum over tensor ranks holds meanwhile; see Communicator::reduction_bytes().
  std::function<std::int64_t(std::int64_t elements, std::int64_t width)> reduction =
      [](std::int64_t, std::int64_t) { return std::int64_t{0}; };
};

// Of the rank at `at`, which has `part` of the model and its parameters in `table`. `schedule` is
// the step's. Documents of a row count as one sample.
MemoryPlan plan_memory(const config::Run& run, const Degrees& degrees, const Coordinates& at,
                       const StagePart& part, const ParameterTable& table, const Schedule& schedule,
                       const PlannedDevice& device);

}  // namespace cloze
