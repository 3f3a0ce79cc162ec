#include "trainer/optim/loss_scaler.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

config::Precision fp16_options() {
  config::Precision options;
  options.set_compute(config::Precision::fp16);
  options.set_initial_loss_scale(16);
  options.set_loss_scale_window(3);
  options.set_loss_scale_hysteresis(2);
  options.set_min_loss_scale(4);
  return options;
}

TEST(LossScalerTest, TheScaleHalvesOnceTheHysteresisIsSpent) {
  LossScaler scaler(fp16_options());
  EXPECT_FALSE(scaler.update(false));
  EXPECT_EQ(scaler.scale(), 16);
  EXPECT_FALSE(scaler.update(false));
  EXPECT_EQ(scaler.scale(), 8);
}

TEST(LossScalerTest, AWindowOfCleanStepsDoublesIt) {
  LossScaler scaler(fp16_options());
  for (int step = 0; step < 3; ++step) EXPECT_TRUE(scaler.update(true));
  EXPECT_EQ(scaler.scale(), 32);
}

TEST(LossScalerTest, OverflowsAboveTheSmallestScaleAreNoFailure) {
  LossScaler scaler(fp16_options());
  for (int step = 0; step < 4; ++step) scaler.update(false);  // 16, 16, 8, 8 -> 4.
  EXPECT_EQ(scaler.scale(), 4);
  EXPECT_EQ(scaler.state().consecutive_skips, 0);
  for (int step = 0; step < LossScaler::kSkipLimit; ++step) {
    EXPECT_FALSE(scaler.must_stop());
    scaler.update(false);
  }
  EXPECT_TRUE(scaler.must_stop());
  EXPECT_EQ(scaler.scale(), 4);
}

TEST(LossScalerTest, InSinglePrecisionEightSkipsInARowStopTheRun) {
  LossScaler scaler((config::Precision()));
  for (int step = 0; step < 7; ++step) scaler.update(false);
  EXPECT_FALSE(scaler.must_stop());
  scaler.update(true);  // A clean step starts the count again.
  for (int step = 0; step < 8; ++step) scaler.update(false);
  EXPECT_TRUE(scaler.must_stop());
  EXPECT_EQ(scaler.scale(), 1);
}

TEST(LossScalerTest, ItsStateSurvivesARoundTrip) {
  LossScaler scaler(fp16_options());
  scaler.update(true);
  scaler.update(false);
  LossScaler other(fp16_options());
  other.set_state(scaler.state());
  for (int step = 0; step < 10; ++step) {
    const bool finite = step % 3 != 0;
    EXPECT_EQ(scaler.update(finite), other.update(finite));
    EXPECT_EQ(scaler.state(), other.state());
  }
}

}  // namespace
}  // namespace cloze
