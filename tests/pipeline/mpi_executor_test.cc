// Pipeline schedules over real messages: a stage per MPI rank.
#include <gtest/gtest.h>

#include "parallel/comm/groups.h"
#include "parallel/pipeline/executor.h"
#include "tests/support/mpi_test_main.h"
#include "tests/support/toy_stage.h"

namespace cloze {
namespace {

TEST(MpiExecutorTest, EverySchedulesGradientsAreThoseOfThePlainLoop) {
  const int stages = test_session().world_size();
  const Groups groups = connect(Mesh({.pipeline = stages}), test_session(), /*kv_replicas=*/1);
  const int rank = groups.at.pipeline;
  for (const int microbatches : {1, 2, 3, 8, 17}) {
    const Unpipelined expected = run_unpipelined(stages, microbatches);
    for (const Schedule& schedule :
         {gpipe(stages, microbatches), one_f_one_b(stages, microbatches)}) {
      ToyStage stage(rank, stages);
      run_schedule(schedule, rank, stage, *groups.pipeline_forward, *groups.pipeline_backward);
      EXPECT_EQ(stage.gradient(), expected.gradients[rank]) << microbatches << " microbatches";
      EXPECT_TRUE(stage.is_empty());
      if (rank + 1 == stages) {
        EXPECT_EQ(stage.loss(), expected.loss);
      }
    }
  }
}

}  // namespace
}  // namespace cloze
