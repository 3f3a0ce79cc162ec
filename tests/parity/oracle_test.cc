// Logits, loss, every gradient and three updates equal those of an independent model in float64
// (scripts/oracles/model_oracle.py), on one rank and on cut models.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>

#include "parallel/pipeline/executor.h"
#include "tests/parity/layout_run.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

// A golden file: tensors by name, and the model's sizes.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : reader_(SafetensorsReader::open(std::string(CLOZE_SOURCE_DIR) + "/tests/golden/model/" +
                                        name + ".safetensors")) {}

  at::Tensor tensor(const std::string& name) const {
    const SafetensorsEntry* entry = reader_.find(name);
    CLOZE_CHECK(entry != nullptr, str("the golden file has no ", name), "make it again");
    const at::ScalarType type = entry->dtype == DType::kF64   ? at::kDouble
                                : entry->dtype == DType::kI32 ? at::kInt
                                                              : at::kByte;
    at::Tensor tensor = at::empty(entry->shape, type);
    reader_.read(
        *entry, 0,
        {static_cast<std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())});
    return tensor;
  }

  template <typename T>
  std::vector<T> list(const std::string& name) const {
    const at::Tensor values = tensor(name).contiguous();
    const T* first = static_cast<const T*>(values.data_ptr());
    return {first, first + values.numel()};
  }

  // Tensors named PREFIX + something, by that something.
  GlobalTensors with_prefix(const std::string& prefix) const {
    GlobalTensors tensors;
    for (const SafetensorsEntry& entry : reader_.tensors()) {
      if (entry.name.starts_with(prefix)) {
        tensors[entry.name.substr(prefix.size())] = tensor(entry.name);
      }
    }
    return tensors;
  }

  std::string text(const std::string& key) const { return reader_.header().metadata.at(key); }
  std::int64_t number(const std::string& key) const { return std::stoll(text(key)); }
  bool has(const std::string& key) const { return reader_.header().metadata.contains(key); }

 private:
  SafetensorsReader reader_;
};

config::Run run_of(const Golden& golden) {
  config::Run run;
  config::Model& model = *run.mutable_model();
  model.set_family(golden.text("family") == "glm4" ? config::Model::glm4 : config::Model::glm2021);
  model.set_num_hidden_layers(golden.number("num_hidden_layers"));
  model.set_hidden_size(golden.number("hidden_size"));
  model.set_num_attention_heads(golden.number("num_attention_heads"));
  model.set_num_key_value_heads(golden.number("num_key_value_heads"));
  model.set_head_dim(golden.number("head_dim"));
  model.set_intermediate_size(golden.number("intermediate_size"));
  model.set_vocab_size(golden.number("vocab_size"));
  model.set_max_position_embeddings(golden.number("max_position_embeddings"));
  model.set_norm_eps(std::stod(golden.text("norm_eps")));
  if (golden.has("rope_theta")) model.set_rope_theta(std::stod(golden.text("rope_theta")));
  if (golden.has("partial_rotary_factor")) {
    model.set_partial_rotary_factor(std::stod(golden.text("partial_rotary_factor")));
  }
  run.mutable_data()->set_seq_length(golden.number("seq_length"));
  run.mutable_batch()->set_global_size(golden.number("rows"));
  run.mutable_batch()->set_micro_size(1);
  run.mutable_precision()->set_compute(config::Precision::fp64);
  config::Optimizer& optimizer = *run.mutable_optimizer();
  optimizer.add_betas(0.9);
  optimizer.add_betas(0.95);
  optimizer.set_eps(1e-8);
  optimizer.set_weight_decay(0.1);
  optimizer.set_clip(1);
  return run;
}

// Row `row` of the golden batch as a microbatch of its own.
Batch row_of(const Golden& golden, std::int64_t row, std::int64_t token_multiple) {
  const std::int64_t length = golden.number("seq_length");
  Batch batch;
  batch.rows = 1;
  batch.seq_length = length;
  batch.ordinals = {row};
  const std::int64_t padded = (length + token_multiple - 1) / token_multiple * token_multiple;
  const auto cut = [&](const char* name, std::int32_t shift) {
    const auto all = golden.list<std::int32_t>(name);
    std::vector<std::int32_t> part(all.begin() + row * length, all.begin() + (row + 1) * length);
    for (std::int32_t& value : part) value -= shift;
    part.resize(static_cast<std::size_t>(padded), 0);
    return part;
  };
  const auto start = static_cast<std::int32_t>(row * length);
  batch.tokens = cut("tokens", 0);
  batch.targets = cut("targets", 0);
  batch.position = cut("position", 0);
  batch.block_position = cut("block_position", 0);
  batch.rotary_position = cut("rotary_position", 0);
  batch.lo = cut("lo", start);
  batch.hi = cut("hi", start);
  const auto mask = golden.list<std::uint8_t>("loss_mask");
  batch.loss_mask.assign(mask.begin() + row * length, mask.begin() + (row + 1) * length);
  batch.loss_mask.resize(static_cast<std::size_t>(padded), 0);
  batch.objective.resize(static_cast<std::size_t>(padded), 0);
  return batch;
}

BatchesOfStep golden_batches(const Golden& golden) {
  return [&golden](const config::Run& run, const Degrees& layout, const Coordinates& at, int) {
    std::vector<Batch> batches;
    for (std::int64_t row = at.data; row < run.batch().global_size(); row += layout.data) {
      batches.push_back(row_of(golden, row, layout.tensor));
    }
    return batches;
  };
}

// A stage whose last one keeps logits instead of losses.
class LogitsStage : public Stage {
 public:
  LogitsStage(TrainingState& state, std::vector<Batch> batches)
      : state_(state), batches_(std::move(batches)) {}

  std::vector<at::Tensor> make_border() override {
    const std::int64_t tokens =
        state_.tensor_parallel().local_tokens(batches_.front().num_tokens());
    return {at::empty({tokens, state_.run().model().hidden_size()}, state_.compute_type())};
  }

  std::vector<at::Tensor> forward(int microbatch, std::vector<at::Tensor> input) override {
    Pass pass;
    pass.stash = Stash(/*keeps=*/false);
    const Glm& glm = state_.glm();
    at::Tensor x = glm.forward(pass, Microbatch(batches_[static_cast<std::size_t>(microbatch)]),
                               input.empty() ? at::Tensor() : input.front());
    if (!glm.part().last) return {x};
    logits_.push_back(glm.logits(x));
    return {};
  }

  std::vector<at::Tensor> backward(int, std::vector<at::Tensor>) override { return {}; }

  const std::vector<at::Tensor>& logits() const { return logits_; }  // One a microbatch.

 private:
  TrainingState& state_;
  const std::vector<Batch> batches_;
  std::vector<at::Tensor> logits_;
};

// The part of the vocabulary that a rank of the last stage has logits of.
Box vocabulary_of(TrainingState& state) {
  const ParameterGroup* tied = state.glm().tied_head();
  if (tied != nullptr) return tied->members.front().spec.box;
  for (const Parameter* parameter : state.table().owned()) {
    if (parameter->spec.name.starts_with("lm_head")) return parameter->spec.box;
  }
  throw std::logic_error("the last stage has no head");
}

// The logits [tokens, vocabulary] of the golden batch on a layout.
at::Tensor logits_on(const config::Run& run, const Degrees& layout, const Golden& golden) {
  GlobalCollector logits;
  std::mutex mutex;
  on_layout(run, layout, [&](TrainingState& state) {
    set_values(state, golden.with_prefix(""));
    const Groups& groups = state.groups();
    std::vector<Batch> batches = golden_batches(golden)(run, layout, groups.at, 0);
    Schedule schedule{layout.pipeline, static_cast<int>(batches.size()), {}};
    for (int stage = 0; stage < layout.pipeline; ++stage) {
      std::vector<PipelineAction>& actions = schedule.ranks.emplace_back();
      for (int m = 0; m < schedule.num_microbatches; ++m) {
        actions.push_back({ActionKind::kForward, stage, m});
      }
    }
    LogitsStage stage(state, std::move(batches));
    run_schedule(schedule, groups.at.pipeline, stage, *groups.pipeline_forward,
                 *groups.pipeline_backward);
    if (!state.glm().part().last) return;
    const Box part = vocabulary_of(state);
    const std::int64_t length = golden.number("seq_length");
    const std::int64_t rows = golden.number("rows");
    const std::scoped_lock lock(mutex);
    for (std::size_t m = 0; m < stage.logits().size(); ++m) {
      const std::int64_t row = groups.at.data + static_cast<std::int64_t>(m) * layout.data;
      const Box box{.global = {rows * length, part.global[0]},
                    .offset = {row * length, part.offset[0]},
                    .shape = {length, part.shape[0]}};
      // Behind the row's tokens lies padding.
      logits.add("logits", box, stage.logits()[m].narrow(0, 0, length));
    }
  });
  return logits.finish().at("logits");
}

class OracleTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Goldens, OracleTest,
                         testing::Values("glm4_causal", "glm4_infilling", "glm2021_infilling"),
                         [](const auto& info) { return info.param; });

const std::vector<Degrees> kLayouts = {
    {},          {.tensor = 2}, {.pipeline = 2},
    {.data = 2}, {.tensor = 4}, {.pipeline = 2, .data = 2, .tensor = 2}};

// Calls `check(run, layout)` for every layout, with and without sequence parallelism where it has
// tensor ranks.
template <typename Check>
void on_every_layout(config::Run run, const Check& check) {
  for (const Degrees& layout : kLayouts) {
    for (const bool sequence : {false, true}) {
      if (sequence && layout.tensor == 1) continue;
      SCOPED_TRACE(name_of(layout) + (sequence ? " with sequence parallelism" : ""));
      run.mutable_parallel()->set_sequence(sequence);
      check(run, layout);
    }
  }
}

TEST_P(OracleTest, LossAndEveryGradientEqualAutograd) {
  const Golden golden(GetParam());
  on_every_layout(run_of(golden), [&](const config::Run& run, const Degrees& layout) {
    const LayoutOutcome outcome =
        train_on(run, layout, 1, golden_batches(golden), 1e-3, 1, golden.with_prefix(""));
    EXPECT_NEAR(outcome.losses[0], golden.tensor("loss").item<double>(), 1e-12);
    EXPECT_LT(relative_difference(golden.with_prefix("grad."), outcome.gradients), 1e-11);
  });
}

TEST_P(OracleTest, LogitsEqualTheOracles) {
  const Golden golden(GetParam());
  const GlobalTensors expected = {{"logits", golden.tensor("logits")}};
  on_every_layout(run_of(golden), [&](const config::Run& run, const Degrees& layout) {
    EXPECT_LT(relative_difference(expected, {{"logits", logits_on(run, layout, golden)}}), 1e-11);
  });
}

class OracleStepsTest : public OracleTest {};

INSTANTIATE_TEST_SUITE_P(Goldens, OracleStepsTest,
                         testing::Values("glm4_infilling", "glm2021_infilling"),
                         [](const auto& info) { return info.param; });

TEST_P(OracleStepsTest, ThreeUpdatesEqualTorchAdamW) {
  const Golden golden(GetParam());
  const Golden steps(GetParam() + "_steps");
  config::Run run = run_of(golden);
  for (const Degrees& layout : kLayouts) {
    SCOPED_TRACE(name_of(layout));
    run.mutable_parallel()->set_sequence(layout.tensor > 1);
    const LayoutOutcome outcome =
        train_on(run, layout, 3, golden_batches(golden), 1e-3, 1, golden.with_prefix(""));
    const auto losses = steps.list<double>("losses");
    const auto norms = steps.list<double>("grad_norms");
    for (std::size_t step = 0; step < 3; ++step) {
      EXPECT_NEAR(outcome.losses[step], losses[step], 1e-9);
      EXPECT_NEAR(outcome.norms[step] / norms[step], 1, 1e-6);  // Rounded to fp32.
    }
    // The clip factor comes from a norm that is rounded to fp32.
    EXPECT_LT(relative_difference(steps.with_prefix("step3."), outcome.final), 1e-7);
  }
}

}  // namespace
}  // namespace cloze
