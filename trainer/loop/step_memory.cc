#include "trainer/loop/step_memory.h"

#include "parallel/base/check.h"
#include "trainer/doctor/check_result.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/train_step.h"

namespace cloze {

MemoryPlan plan_of(TrainingState& state) {
  const config::Run& run = state.run();
  const Groups& groups = state.groups();
  const std::int64_t microbatches =
      num_microbatches(run.batch().global_size(), microbatch_options(run, groups));
  DeviceMemory memory = cpu_memory();
  if (!state.device().is_cpu()) {
    memory = gpu_memory();
    memory.library_bytes += memory.block(state.glm().table_bytes());
  }
  return plan_memory(run, groups.mesh.degrees(), groups.at, state.glm().part(), state.table(),
                     training_schedule(run.parallel(), microbatches),
                     {.memory = memory,
                      .kernels = state.tensor_parallel().kernels,
                      .reduction = [&groups](std::int64_t elements, std::int64_t width) {
                        return groups.tensor->reduction_bytes(elements, width);
                      }});
}

std::string memory_text(Communicator& world, const MemoryPlan& plan, std::int64_t device_bytes) {
  const auto largest = [&](std::int64_t bytes) {
    return value_text({.value = largest_of(world, bytes), .unit = "bytes"});
  };
  std::string text =
      str("parameters ", largest(plan.parameters), ", gradients ", largest(plan.gradients),
          ", optimizer ", largest(plan.optimizer), ", activations ", largest(plan.activations));
  const std::int64_t reduction = largest_of(world, plan.reduction);
  if (reduction > 0) text += ", sums over ranks " + largest(reduction);
  const std::int64_t libraries = largest_of(world, plan.libraries);
  if (libraries > 0) text += ", libraries " + largest(libraries);
  text += str("; at most ", largest(plan.peak), " at a time on the largest rank");
  if (device_bytes > 0) text += str(", whose device has ", largest(device_bytes));
  return text;
}

}  // namespace cloze
