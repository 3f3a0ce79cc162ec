#include "tests/parity/layout_run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "data/batch_builder.h"
#include "data/documents.h"
#include "parallel/base/check.h"
#include "parallel/base/random.h"
#include "tests/support/run_ranks.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

// The part of a whole tensor that a box is.
at::Tensor part_of_whole(const at::Tensor& whole, const Box& box) {
  at::Tensor part = whole;
  for (std::size_t dim = 0; dim < box.shape.size(); ++dim) {
    part = part.narrow(static_cast<std::int64_t>(dim), box.offset[dim], box.shape[dim]);
  }
  return part;
}

bool equal_bits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous();
  const at::Tensor y = b.contiguous();
  return x.scalar_type() == y.scalar_type() && x.sizes() == y.sizes() &&
         std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

void collect_values(TrainingState& state, GlobalCollector& collector) {
  for (const Parameter* parameter : state.table().owned()) {
    collector.add(parameter->spec.name, parameter->spec.box, parameter->value);
  }
}

void collect_gradients(TrainingState& state, GlobalCollector& collector) {
  for (const UpdateShard& shard : state.reducer().shards()) {
    for (const OwnedRows& rows : shard.owned) {
      const Box box = rows.box();
      collector.add(rows.parameter->spec.name, box,
                    shard.gradient.narrow(0, rows.shard_offset, rows.elements).view(box.shape));
    }
  }
}

}  // namespace

void collect_state(TrainingState& state, GlobalCollector& collector) {
  for (std::size_t i = 0; i < state.reducer().shards().size(); ++i) {
    const UpdateShard& shard = state.reducer().shards()[i];
    const AdamWState& moments = state.optimizer().states()[i];
    for (const OwnedRows& rows : shard.owned) {
      const Box box = rows.box();
      const auto part = [&](const at::Tensor& flat) {
        return flat.narrow(0, rows.shard_offset, rows.elements).view(box.shape);
      };
      const std::string& name = rows.parameter->spec.name;
      collector.add(name, box, part(moments.master));
      collector.add("exp_avg." + name, box, part(moments.exp_avg));
      collector.add("exp_avg_sq." + name, box, part(moments.exp_avg_sq));
    }
  }
  for (const ParameterGroup& group : state.table().groups()) {  // Copies of a tied table too.
    for (const Parameter& member : group.members) {
      collector.add("value." + member.spec.name, member.spec.box, member.value);
    }
  }
}

void set_values(TrainingState& state, const GlobalTensors& weights) {
  for (const ParameterGroup& group : state.table().groups()) {
    for (const Parameter& member : group.members) {
      // A view of the flat buffer: the handle is const, its elements are not.
      at::Tensor value = member.value;
      value.copy_(part_of_whole(weights.at(member.spec.name), member.spec.box));
    }
  }
  state.reducer().collect_values();
  state.optimizer().reset_masters();
}

void GlobalCollector::add(const std::string& name, const Box& box, const at::Tensor& of_device) {
  if (box.elements() == 0) return;
  const at::Tensor part = of_device.cpu();
  if (!tensors_.contains(name)) {
    tensors_[name] = at::zeros(box.global, part.options());
    given_[name] = at::zeros(box.global, at::kByte);
  }
  at::Tensor place = part_of_whole(tensors_[name], box);
  at::Tensor given = part_of_whole(given_[name], box);
  const bool known = given.any().item<bool>();
  CLOZE_CHECK(!known || equal_bits(place, part), str(name, " differs between two ranks"),
              "replicas hold the same bits");
  place.copy_(part);
  given.fill_(1);
}

GlobalTensors GlobalCollector::finish() const {
  for (const auto& [name, given] : given_) {
    CLOZE_CHECK(given.all().item<bool>(), str(name, " has elements that no rank holds"),
                "boxes cover the tensor");
  }
  return tensors_;
}

void on_layout(config::Run run, const Degrees& layout,
               const std::function<void(TrainingState&)>& body, const Connect& connect,
               const Kernels& kernels) {
  run.mutable_parallel()->set_tensor(layout.tensor);
  run.mutable_parallel()->set_pipeline(layout.pipeline);
  const Mesh mesh(layout);
  run_ranks(layout.world(), [&](LocalWorld& world, int rank) {
    connect(mesh, world, rank, kv_replicas(run.model(), layout.tensor), [&](const Groups& groups) {
      TrainingState state(run, groups, /*trace=*/nullptr, kernels);
      body(state);
    });
  });
}

void connect_threads(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas,
                     const std::function<void(const Groups&)>& body) {
  body(connect_local(mesh, world, rank, kv_replicas));
}

Connect connect_gpus(SimulatedGpus& gpus, std::function<NcclSession::Options(int rank)> options) {
  return [&gpus, options = std::move(options)](const Mesh& mesh, LocalWorld& world, int rank,
                                               int kv_replicas,
                                               const std::function<void(const Groups&)>& body) {
    const SimulatedGpus::Rank self(gpus, rank);
    const auto host = world.communicator("host", world.everyone(), rank);
    NcclSession session(self.device(), *host, options(rank));
    body(connect_nccl(mesh, session, rank, kv_replicas, world.make_group(rank)));
  };
}

LayoutOutcome train_on(config::Run run, const Degrees& layout, int steps,
                       const BatchesOfStep& batches, double learning_rate, int threads,
                       const GlobalTensors& weights, const Connect& connect,
                       const Kernels& kernels) {
  run.mutable_parallel()->set_tensor(layout.tensor);
  run.mutable_parallel()->set_pipeline(layout.pipeline);
  const Mesh mesh(layout);
  GlobalCollector initial;
  GlobalCollector gradients;
  GlobalCollector final;
  LayoutOutcome outcome;
  std::mutex mutex;
  const auto train = [&](const Groups& groups) {
    TrainingState state(run, groups, /*trace=*/nullptr, kernels);
    if (!weights.empty()) set_values(state, weights);
    {
      const std::scoped_lock lock(mutex);
      collect_values(state, initial);
    }
    for (int step = 0; step < steps; ++step) {
      const StepReport report =
          train_step(state, batches(run, layout, groups.at, step), learning_rate);
      const std::scoped_lock lock(mutex);
      if (step == 0) collect_gradients(state, gradients);
      if (groups.world_rank != 0) continue;
      outcome.losses.push_back(report.loss());
      outcome.norms.push_back(report.gradient_norm);
    }
    const std::scoped_lock lock(mutex);
    collect_values(state, final);
  };
  run_ranks(layout.world(), [&](LocalWorld& world, int rank) {
    at::set_num_threads(threads);
    connect(mesh, world, rank, kv_replicas(run.model(), layout.tensor), train);
  });
  outcome.initial = initial.finish();
  outcome.gradients = steps > 0 ? gradients.finish() : GlobalTensors();
  outcome.final = final.finish();
  return outcome;
}

BatchesOfStep sampled_batches(const config::Run& run) {
  constexpr std::int32_t kSpecials = 8;
  RowOptions options;
  options.seq_length = run.data().seq_length();
  options.seed = run.run().seed();
  options.special = {
      .eos = 0, .mask = 1, .sentence_mask = 2, .document_mask = 3, .sop = 4, .eop = 5};
  options.sentence_ends = SentenceEnds(run.model().vocab_size(), {10, 11});
  std::vector<std::vector<std::int32_t>> documents;
  const RandomKey key{.seed = 7, .domain = RandomDomain::kTest};
  std::uint64_t index = 0;
  for (int document = 0; document < 40; ++document) {
    std::vector<std::int32_t>& ids = documents.emplace_back();
    const std::uint64_t length = 10 + random_below(key, index++, 60);
    for (std::uint64_t i = 0; i < length; ++i) {
      ids.push_back(kSpecials + static_cast<std::int32_t>(random_below(
                                    key, index++, run.model().vocab_size() - kSpecials)));
    }
    ids.push_back(options.special.eos);
  }
  std::vector<WeightedDocuments> sources;
  sources.push_back({memory_documents(documents), 1.0});
  const auto source = std::make_shared<SampleSource>(options, std::move(sources));
  return [source](const config::Run& of, const Degrees& layout, const Coordinates& at, int step) {
    const MicrobatchOptions cut{.micro_size = of.batch().micro_size(),
                                .data_rank = at.data,
                                .data_degree = layout.data,
                                .token_multiple = layout.tensor};
    BatchBuilder builder(*source, cut.token_multiple);
    std::vector<Batch> batches;
    const std::int64_t rows = of.batch().global_size();
    for (std::int64_t m = 0; m < num_microbatches(rows, cut); ++m) {
      batches.push_back(builder.build(microbatch_ordinal(step * rows, m, cut), cut.micro_size));
    }
    return batches;
  };
}

config::Run small_run(config::Model::Family family, config::Precision::Compute compute) {
  config::Run run;
  config::Model& model = *run.mutable_model();
  model.set_family(family);
  model.set_num_hidden_layers(8);
  model.set_hidden_size(32);
  model.set_num_attention_heads(8);
  model.set_num_key_value_heads(family == config::Model::glm2021 ? 8 : 2);
  model.set_head_dim(8);
  model.set_intermediate_size(48);
  model.set_vocab_size(67);
  model.set_max_position_embeddings(64);
  model.set_initializer_range(0.1);
  if (family == config::Model::glm2021) {
    model.set_head_dim(4);
    model.set_intermediate_size(64);
  }
  run.mutable_run()->set_seed(42);
  run.mutable_data()->set_seq_length(35);
  run.mutable_batch()->set_global_size(8);
  run.mutable_batch()->set_micro_size(1);
  run.mutable_optimizer()->add_betas(0.9);
  run.mutable_optimizer()->add_betas(0.95);
  run.mutable_precision()->set_compute(compute);
  return run;
}

double relative_difference(const GlobalTensors& a, const GlobalTensors& b) {
  CLOZE_CHECK(a.size() == b.size(), str(a.size(), " tensors against ", b.size()),
              "compare the same model");
  const auto magnitude = [](const at::Tensor& x) {
    return x.to(at::kDouble).abs().max().item<double>();
  };
  double largest = 0;
  for (const auto& [name, x] : a) largest = std::max(largest, magnitude(x));
  double worst = 0;
  for (const auto& [name, x] : a) {
    const at::Tensor y = b.at(name).to(at::kDouble);
    // Some gradients are zero but for rounding (softmax does not see a key bias without rotary
    // positions); those are measured against the others.
    const double scale = std::max(magnitude(x), 1e-3 * largest);
    worst = std::max(worst, (x.to(at::kDouble) - y).abs().max().item<double>() / scale);
  }
  return worst;
}

bool same_bits(const GlobalTensors& a, const GlobalTensors& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           return b.contains(entry.first) && equal_bits(entry.second, b.at(entry.first));
         });
}

std::vector<Degrees> all_layouts() {
  std::vector<Degrees> layouts;
  for (const int world : {1, 2, 4, 8}) {
    for (const Degrees& layout : layouts_of(world)) layouts.push_back(layout);
  }
  return layouts;
}

std::string name_of(const Degrees& layout) {
  return str("tensor ", layout.tensor, " x pipeline ", layout.pipeline, " x data ", layout.data);
}

}  // namespace cloze
