#include "trainer/optim/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>

#include "parallel/base/check.h"

namespace cloze {
namespace {

config::Schedule schedule_of(config::Schedule::Kind kind, const std::string& warmup,
                             const std::string& decay, double min_lr) {
  config::Schedule schedule;
  schedule.set_kind(kind);
  schedule.set_warmup(warmup);
  schedule.set_decay(decay);
  schedule.set_min_lr(min_lr);
  return schedule;
}

TEST(LearningRateTest, WarmUpRisesLinearlyToThePeakAtItsLastStep) {
  for (const auto kind : {config::Schedule::cosine, config::Schedule::linear,
                          config::Schedule::constant, config::Schedule::wsd}) {
    const config::Schedule schedule = schedule_of(kind, "10", "50%", 0);
    for (int step = 1; step <= 10; ++step) {
      EXPECT_DOUBLE_EQ(learning_rate(schedule, 2.0, step, 100), 0.2 * step);
    }
  }
}

TEST(LearningRateTest, CosineEndsAtTheMinimumAndPassesTheMiddleHalfWay) {
  const config::Schedule schedule = schedule_of(config::Schedule::cosine, "20", "100%", 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1.1, 20, 120), 1.1);
  EXPECT_NEAR(learning_rate(schedule, 1.1, 70, 120), 0.6, 1e-12);
  EXPECT_NEAR(learning_rate(schedule, 1.1, 45, 120), 0.1 + (1 + std::cos(std::numbers::pi / 4)) / 2,
              1e-12);
  EXPECT_NEAR(learning_rate(schedule, 1.1, 120, 120), 0.1, 1e-12);
}

TEST(LearningRateTest, ADecayShorterThanTheRunStaysAtTheMinimum) {
  const config::Schedule schedule = schedule_of(config::Schedule::linear, "0", "40", 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 20, 100), 0.75);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 40, 100), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 90, 100), 0.5);
}

TEST(LearningRateTest, ConstantStays) {
  const config::Schedule schedule = schedule_of(config::Schedule::constant, "2%", "100%", 0);
  EXPECT_EQ(learning_rate(schedule, 3, 50, 100), 3);
  EXPECT_EQ(learning_rate(schedule, 3, 100, 100), 3);
}

TEST(LearningRateTest, WsdStaysThenFallsOverTheLastSteps) {
  const config::Schedule schedule = schedule_of(config::Schedule::wsd, "10%", "20%", 0);
  EXPECT_EQ(learning_rate(schedule, 1, 80, 100), 1);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 90, 100), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, 100, 100), 0);
}

TEST(LearningRateTest, AShareIsRoundedUp) {
  EXPECT_EQ(schedule_steps("2%", 10), 1);
  EXPECT_EQ(schedule_steps("50%", 3), 2);
  EXPECT_EQ(schedule_steps("7", 3), 7);
  for (int percent = 0; percent <= 100; ++percent) {  // 7 % of 100 is 7, not 8.
    EXPECT_EQ(schedule_steps(std::to_string(percent) + "%", 100), percent);
  }
  EXPECT_EQ(schedule_steps("0", 3), 0);
}

TEST(LearningRateTest, WhatIsNoNumberOfStepsIsRefused) {
  for (const char* text : {"", "%", "ten", "5 steps", "-1", "2%%"}) {
    EXPECT_THROW(schedule_steps(text, 100), Error) << text;
  }
}

}  // namespace
}  // namespace cloze
