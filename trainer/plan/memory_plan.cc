#include "trainer/plan/memory_plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "parallel/data_parallel/ownership.h"
#include "parallel/kernels/attention.h"
#include "parallel/pass/dtype_dispatch.h"
#include "trainer/model/glm.h"
#include "trainer/model/microbatch.h"
#include "trainer/model/sites.h"
#include "trainer/plan/stage_tape.h"

namespace cloze {
namespace {

using Memory = AllocationTape::Memory;

// Tokens of a microbatch: padded so that all ranks that cut them get as many.
std::int64_t padded_tokens(const config::Run& run, const Degrees& degrees) {
  const std::int64_t tokens = run.batch().micro_size() * run.data().seq_length();
  const std::int64_t parts = std::int64_t{degrees.tensor} * degrees.context;
  return (tokens + parts - 1) / parts * parts;
}

// Each row one sample, half of which sees all of itself where blanks are filled.
AttentionSamples whole_rows(const config::Run& run) {
  const std::int64_t rows = run.batch().micro_size();
  const std::int64_t length = run.data().seq_length();
  AttentionSamples samples{.count = rows, .longest = length};
  if (run.objective().kind() == config::Objective::causal) return samples;
  samples.prefixes = rows;
  samples.prefix_tokens = rows * (length / 2);
  samples.longest_prefix = length / 2;
  samples.longest_suffix = length - length / 2;
  return samples;
}

StageSizes stage_sizes(const config::Run& run, const Degrees& degrees, const Coordinates& at,
                       const StagePart& part, at::ScalarType type, const PlannedDevice& device) {
  const config::Model& model = run.model();
  const bool glm2021 = model.family() == config::Model::glm2021;
  const std::int64_t ranks = degrees.tensor;
  const std::int64_t heads = model.num_attention_heads() / ranks;
  const std::int64_t kv_heads = std::max<std::int64_t>(1, model.num_key_value_heads() / ranks);
  const std::int64_t features = model.intermediate_size() / ranks;
  const std::int64_t tokens = padded_tokens(run, degrees);
  StageSizes sizes{.type = type, .kernels = device.kernels};
  sizes.sums = ranks > 1;
  sizes.gathers = run.parallel().sequence() && ranks > 1;
  sizes.tokens = tokens;
  sizes.local_tokens = sizes.gathers ? tokens / ranks : tokens;
  sizes.hidden = model.hidden_size();
  sizes.qkv = (heads + 2 * kv_heads) * model.head_dim();
  sizes.attention = heads * model.head_dim();
  sizes.heads = heads;
  const AttentionSamples samples = whole_rows(run);
  const AttentionShape attention{.tokens = sizes.tokens,
                                 .heads = heads,
                                 .kv_heads = kv_heads,
                                 .head_dim = model.head_dim(),
                                 .samples = &samples};
  sizes.attention_workspace = device.kernels.attention_backward_workspace(attention);
  sizes.inner = glm2021 ? features : 2 * features;
  sizes.activated = features;
  sizes.vocab = part_of(model.vocab_size(), degrees.tensor, at.tensor).count();
  sizes.layers = part.layers.count();
  sizes.element_bytes = static_cast<std::int64_t>(at::elementSize(type));
  sizes.accumulator_bytes = static_cast<std::int64_t>(at::elementSize(accumulator_of(type)));
  sizes.first = part.first;
  sizes.last = part.last;
  sizes.keeps_means = glm2021;
  sizes.drops_output = model.output_dropout() > 0;
  sizes.drops_embedding = model.embedding_dropout() > 0;
  sizes.recompute = recompute_of(run.parallel());
  sizes.is_cpu = device.memory.is_cpu;
  if (sizes.sums) sizes.reduction = device.reduction(tokens * sizes.hidden, sizes.element_bytes);
  with_type(type, [&]<typename T>() {
    const KernelScratch& scratch = device.kernels.of<T>().scratch;
    const bool drops = model.attention_dropout() > 0;
    sizes.norm_scratch = scratch.norm_backward(sizes.local_tokens, sizes.hidden);
    sizes.embedding_scratch = scratch.embedding_backward(sizes.tokens);
    sizes.attention_forward_scratch = scratch.attention_forward(attention, drops);
    sizes.attention_backward_scratch = scratch.attention_backward(attention, drops);
  });
  return sizes;
}

// The gradients of one flat buffer on their way to their owners.
class BufferReduction {
 public:
  // When nothing crosses ranks, `data` is 1 and there is nothing to hold.
  BufferReduction(const FlatBuffer& buffer, std::int64_t bucket_bytes, int data, int rank)
      : buckets_(cut_buckets(buffer, data, bucket_bytes)),
        element_bytes_(static_cast<std::int64_t>(buffer.main_grad.element_size())),
        value_bytes_(static_cast<std::int64_t>(buffer.value.element_size())) {
    counts_.assign(static_cast<std::size_t>(data), 0);
    for (const Bucket& bucket : buckets_) {
      waiting_.push_back(static_cast<std::int64_t>(bucket.groups.size()));
      for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += bucket.counts[i];
    }
    mine_ = static_cast<std::size_t>(rank);
  }

  std::int64_t own_elements() const { return counts_[mine_]; }

  // The groups for which `is_ready` have their gradients. What starts is held in `held`.
  void ready(const std::function<bool(const ParameterGroup&)>& is_ready, AllocationTape& tape,
             std::vector<Memory>& held) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      const Bucket& bucket = buckets_[i];
      waiting_[i] -= std::ranges::count_if(
          bucket.groups, [&](const ParameterGroup* group) { return is_ready(*group); });
      if (waiting_[i] != 0) continue;
      waiting_[i] = -1;  // Once.
      std::int64_t all = 0;
      for (const std::int64_t count : bucket.counts) all += count;
      held.push_back(tape.make(all * element_bytes_));
      held.push_back(tape.make(bucket.counts[mine_] * ranks() * element_bytes_));
    }
  }

  // All ranks' rows come together, of gradients or of values, two buckets at a time. What is sent
  // is held by the call, too.
  void gather(bool values, AllocationTape& tape) const {
    const std::int64_t bytes = values ? value_bytes_ : element_bytes_;
    std::vector<Memory> before;
    for (const Bucket& bucket : buckets_) {
      const std::int64_t largest = std::ranges::max(bucket.counts);
      before = {tape.make(largest * bytes), tape.make(largest * ranks() * bytes)};
    }
  }

 private:
  std::int64_t ranks() const { return static_cast<std::int64_t>(counts_.size()); }

  const std::vector<Bucket> buckets_;
  const std::int64_t element_bytes_;
  const std::int64_t value_bytes_;
  std::vector<std::int64_t> counts_;   // Elements by data rank.
  std::vector<std::int64_t> waiting_;  // Groups of each bucket that are not ready.
  std::size_t mine_ = 0;
};

constexpr std::int64_t kAfterBackward = -2;

// When a group's gradient is complete, as StageTape::OnLayer numbers it, or kAfterBackward.
std::int64_t ready_after(const ParameterGroup& group, const Range& layers, bool tied) {
  const ParameterSpec& spec = group.members.front().spec;
  if (spec.layer > 0) return static_cast<std::int64_t>(spec.layer) - 1 - layers.first;
  if (spec.site >= site::kFinalNormWeight) return layers.count();
  // The head's gradient comes to it.
  return tied && spec.site == site::kTokenEmbedding ? kAfterBackward : -1;
}

// One step's tensors, in the order of the schedule.
class StepTape {
 public:
  StepTape(const StageSizes& sizes, const DeviceMemory& memory, const Schedule& schedule,
           int pipeline_rank)
      : sizes_(sizes),
        schedule_(schedule),
        actions_(schedule.ranks.at(static_cast<std::size_t>(pipeline_rank))),
        tape_(memory.block),
        stage_(tape_, sizes, schedule.num_microbatches),
        arrays_(static_cast<std::size_t>(schedule.num_microbatches)) {}

  AllocationTape& tape() { return tape_; }

  // `on_layer` is called in the last microbatch's backward.
  void run(const StageTape::OnLayer& on_layer) {
    const StageTape::OnLayer none = [](std::int64_t) {};
    for (std::size_t i = 0; i < actions_.size(); ++i) {
      post_receives(std::min(i + 2, actions_.size()));
      const PipelineAction& action = actions_[i];
      Memory input = take(action);
      // What the action before sends has left when this one is done.
      const auto m = static_cast<std::size_t>(action.microbatch);
      if (action.kind == ActionKind::kForward) {
        bring(m);
        leaving_ = stage_.forward(action.microbatch, std::move(input));
        bring(m + 1);
      } else {
        const bool last = action.microbatch + 1 == schedule_.num_microbatches;
        leaving_ = stage_.backward(action.microbatch, std::move(input), last ? on_layer : none);
        arrays_[m].reset();
      }
    }
    leaving_.reset();
  }

 private:
  // A microbatch's arrays come to the device while the one before is computed.
  void bring(std::size_t m) {
    if (sizes_.is_cpu || m >= arrays_.size() || arrays_[m]) return;
    arrays_[m] = tape_.make(Microbatch::most_bytes(sizes_.tokens));
  }

  bool arrives(const PipelineAction& action) const {
    return action.kind == ActionKind::kForward ? !sizes_.first : !sizes_.last;
  }

  void post_receives(std::size_t end) {
    for (; num_posted_ < end; ++num_posted_) {
      const PipelineAction& action = actions_[num_posted_];
      if (arrives(action)) inbox(action).push_back(stage_.border());
    }
  }

  std::deque<Memory>& inbox(const PipelineAction& action) {
    return action.kind == ActionKind::kForward ? inputs_ : gradients_;
  }

  Memory take(const PipelineAction& action) {
    if (!arrives(action)) return {};
    Memory first = std::move(inbox(action).front());
    inbox(action).pop_front();
    return first;
  }

  const StageSizes sizes_;
  const Schedule& schedule_;
  const std::vector<PipelineAction>& actions_;
  AllocationTape tape_;
  StageTape stage_;
  std::vector<Memory> arrays_;  // By microbatch.
  std::deque<Memory> inputs_;
  std::deque<Memory> gradients_;
  Memory leaving_;
  std::size_t num_posted_ = 0;
};

// What stays from step to step.
MemoryPlan kept_memory(const config::Run& run, const Degrees& degrees, const ParameterTable& table,
                       const std::vector<BufferReduction>& reductions, const DeviceMemory& memory) {
  MemoryPlan plan;
  plan.libraries = memory.library_bytes;
  const auto block_of = [&](const at::Tensor& tensor) {
    return memory.block(static_cast<std::int64_t>(tensor.nbytes()));
  };
  const bool shards = degrees.data > 1 && run.parallel().zero_stage() >= 1;
  for (std::size_t i = 0; i < table.buffers().size(); ++i) {
    const FlatBuffer& buffer = table.buffers()[i];
    const auto value_bytes = static_cast<std::int64_t>(buffer.value.element_size());
    const auto sum_bytes = static_cast<std::int64_t>(buffer.main_grad.element_size());
    plan.parameters += block_of(buffer.value);
    plan.gradients += block_of(buffer.main_grad);
    std::int64_t elements = buffer.main_grad.numel();
    if (shards) {
      elements = reductions[i].own_elements();
      plan.optimizer += memory.block(elements * value_bytes) + memory.block(elements * sum_bytes);
    }
    const int tensors = value_bytes == sum_bytes ? 2 : 3;  // Moments, and a master.
    plan.optimizer += tensors * memory.block(elements * sum_bytes);
  }
  for (const ParameterGroup& group : table.groups()) {
    if (!group.is_copy) continue;
    plan.gradients += block_of(group.main_grad);
    const bool shared = std::ranges::any_of(table.buffers(), [&](const FlatBuffer& buffer) {
      return group.value.is_alias_of(buffer.value);
    });
    if (!shared) plan.parameters += block_of(group.value);
  }
  return plan;
}

}  // namespace

MemoryPlan plan_memory(const config::Run& run, const Degrees& degrees, const Coordinates& at,
                       const StagePart& part, const ParameterTable& table, const Schedule& schedule,
                       const PlannedDevice& device) {
  std::vector<BufferReduction> reductions;
  for (const FlatBuffer& buffer : table.buffers()) {
    reductions.emplace_back(buffer, run.parallel().bucket_bytes(), degrees.data, at.data);
  }
  MemoryPlan plan = kept_memory(run, degrees, table, reductions, device.memory);
  const StageSizes sizes = stage_sizes(run, degrees, at, part, table.compute_type(), device);

  StepTape alone(sizes, device.memory, schedule, at.pipeline);
  alone.run([](std::int64_t) {});
  plan.activations = alone.tape().peak();

  StepTape step(sizes, device.memory, schedule, at.pipeline);
  AllocationTape& tape = step.tape();
  std::vector<Memory> held;
  const bool tied = has_tied_head(run.model());
  const auto on_ready = [&](std::int64_t moment) {
    if (degrees.data == 1) return;
    for (BufferReduction& reduction : reductions) {
      reduction.ready(
          [&](const ParameterGroup& group) {
            return ready_after(group, part.layers, tied) == moment;
          },
          tape, held);
    }
  };
  step.run(on_ready);
  Memory of_head;  // The tied head's gradient, from the last stage.
  if (tied && part.first && !part.last) {
    of_head = tape.make(sizes.vocab * sizes.hidden * sizes.accumulator_bytes);
  }
  on_ready(kAfterBackward);
  of_head.reset();
  plan.reduction = tape.in_use() - alone.tape().in_use();
  held.clear();
  if (degrees.data > 1) {
    const bool values = run.parallel().zero_stage() >= 1;
    for (const BufferReduction& reduction : reductions) reduction.gather(values, tape);
  }
  plan.peak = plan.kept() + tape.peak();
  return plan;
}

}  // namespace cloze
