// A checkpoint of any layout loads into any other, element by element the same bits.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>

#include "parallel/pass/dtype_dispatch.h"
#include "tests/parity/layout_run.h"
#include "tests/support/scratch_folder.h"
#include "trainer/loop/checkpointing.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

namespace fs = std::filesystem;

class ReshardTest : public testing::TestWithParam<config::Model::Family> {
 protected:
  config::Run run() const {
    config::Run run = small_run(GetParam(), config::Precision::fp32);
    run.mutable_parallel()->set_sequence(true);
    return run;
  }
  fs::path folder(std::size_t layout) const { return root_ / std::to_string(layout); }

  const ScratchFolder scratch_{"reshard"};
  const fs::path& root_ = scratch_.path();
};

INSTANTIATE_TEST_SUITE_P(Families, ReshardTest,
                         testing::Values(config::Model::glm4, config::Model::glm2021),
                         [](const auto& info) { return config::Model::Family_Name(info.param); });

Progress progress_of(std::int64_t step) {
  Progress progress;
  progress.step = step;
  progress.consumed_rows = 8 * step;
  progress.run_id = "reshard";
  return progress;
}

TEST_P(ReshardTest, AllPairsOfLayoutsKeepEveryBit) {
  const std::vector<Degrees> layouts = all_layouts();
  ASSERT_EQ(layouts.size(), 20U);
  const config::Run base = run();
  const BatchesOfStep batches = sampled_batches(base);
  // The state to carry around: two steps of one rank.
  GlobalTensors expected;
  on_layout(base, {}, [&](TrainingState& state) {
    for (int step = 0; step < 2; ++step) {
      train_step(state, batches(base, {}, {}, step), 1e-3);
    }
    save_checkpoint(state, progress_of(2), {}, root_ / "origin");
    GlobalCollector collector;
    collect_state(state, collector);
    expected = collector.finish();
  });
  // Every layout loads it and saves it as its own.
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    on_layout(base, layouts[i], [&](TrainingState& state) {
      load_checkpoint(state, root_ / "origin" / step_folder_name(2));
      save_checkpoint(state, progress_of(2), {}, folder(i));
    });
  }
  int pairs = 0;
  for (std::size_t from = 0; from < layouts.size(); ++from) {
    for (std::size_t to = 0; to < layouts.size(); ++to) {
      SCOPED_TRACE(name_of(layouts[from]) + " into " + name_of(layouts[to]));
      config::Run into = base;
      into.mutable_parallel()->set_zero_stage(static_cast<int>((from + to) % 2));
      GlobalCollector collector;
      std::mutex mutex;
      on_layout(into, layouts[to], [&](TrainingState& state) {
        const Progress progress = load_checkpoint(state, folder(from) / step_folder_name(2));
        EXPECT_EQ(progress.step, 2);
        EXPECT_EQ(progress.consumed_rows, 16);
        EXPECT_EQ(state.optimizer().num_updates(), 2);
        const std::scoped_lock lock(mutex);
        collect_state(state, collector);
      });
      EXPECT_TRUE(same_bits(expected, collector.finish()));
      ++pairs;
    }
  }
  EXPECT_EQ(pairs, 400);
}

TEST_P(ReshardTest, DigestsOfWholeTensorsDoNotDependOnTheLayout) {
  const config::Run base = run();
  std::vector<fs::path> saved;
  for (const Degrees& layout : {Degrees{}, Degrees{.pipeline = 2, .data = 2, .tensor = 2}}) {
    saved.push_back(folder(saved.size()));
    on_layout(base, layout, [&](TrainingState& state) {
      save_checkpoint(state, progress_of(1), {}, saved.back());
    });
  }
  const Checkpoint one = Checkpoint::open(saved[0] / step_folder_name(1));
  const Checkpoint eight = Checkpoint::open(saved[1] / step_folder_name(1));
  ASSERT_EQ(one.names(), eight.names());
  for (const std::string& name : one.names()) {
    EXPECT_EQ(one.content_digest(name).hex(), eight.content_digest(name).hex()) << name;
  }
}

}  // namespace
}  // namespace cloze
