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
  return plan_memory(run, groups.mesh.degrees(), groups.at, state.glm().part(), state.table(),
                     training_schedule(run.parallel(), microbatches),
                     state.tensor_parallel().kernels);
}

std::string memory_text(Communicator& world, const MemoryPlan& plan) {
  const auto largest = [&](std::int64_t bytes) {
    return value_text({.value = largest_of(world, bytes), .unit = "bytes"});
  };
  std::string text =
      str("parameters ", largest(plan.parameters), ", gradients ", largest(plan.gradients),
          ", optimizer ", largest(plan.optimizer), ", activations ", largest(plan.activations));
  const std::int64_t reduction = largest_of(world, plan.reduction);
  if (reduction > 0) text += ", sums over ranks " + largest(reduction);
  return text + str("; at most ", largest(plan.peak), " at a time on the largest rank");
}

}  // namespace cloze
