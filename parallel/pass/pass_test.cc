#include "parallel/pass/pass.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TEST(StashTest, WhatWentInLastComesOutFirst) {
  Stash stash;
  stash.push({at::full({1}, 1.0), at::full({1}, 2.0)});
  stash.push({at::full({1}, 3.0)});
  EXPECT_EQ(stash.bytes(), 12);
  const auto [third] = stash.pop<1>();
  const auto [first, second] = stash.pop<2>();
  EXPECT_EQ(third.item<double>(), 3);
  EXPECT_EQ(first.item<double>(), 1);
  EXPECT_EQ(second.item<double>(), 2);
  EXPECT_TRUE(stash.empty());
}

TEST(StashTest, PoppingWhatWasNotPushedIsAnError) {
  Stash stash;
  stash.push({at::ones({1})});
  EXPECT_THROW(stash.pop<2>(), Error);
}

TEST(StashTest, OffItKeepsNothing) {
  Stash stash(/*keeps=*/false);
  stash.push({at::ones({1})});
  EXPECT_TRUE(stash.empty());
}

ParameterGroup& add_weight(ParameterTable& table) {
  ParameterSpec spec;
  spec.name = "w";
  spec.box = Box::whole({3, 2});
  return table.add({spec});
}

TEST(WeightGradientsTest, ProductsAreAddedInTheAccumulatorType) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    ParameterTable table;
    ParameterGroup& group = add_weight(table);
    table.allocate(type);
    const WeightGradients gradients;
    const at::Tensor dy = at::ones({5, 3}, type);
    const at::Tensor x = at::full({5, 2}, 2.0, type);
    gradients.add_product(cpu_kernels(), group, dy, x);
    gradients.add_product(cpu_kernels(), group, dy, x);
    EXPECT_TRUE(at::all(group.main_grad == 20).item<bool>());
  }
}

TEST(WeightGradientsTest, OnlyTheLastMicrobatchMakesAGradientReady) {
  ParameterTable table;
  ParameterGroup& group = add_weight(table);
  std::vector<ParameterGroup*> ready;
  const auto record = [&](ParameterGroup& done) { ready.push_back(&done); };
  WeightGradients(record, /*last=*/false).ready(group);
  EXPECT_TRUE(ready.empty());
  WeightGradients(record, /*last=*/true).ready(group);
  EXPECT_EQ(ready, std::vector<ParameterGroup*>{&group});
}

TEST(WeightGradientsTest, EachProductIsASpanOfItsMicrobatch) {
  ParameterTable table;
  ParameterGroup& group = add_weight(table);
  table.allocate(at::kFloat);
  Trace trace;
  trace.begin();
  const WeightGradients gradients({}, /*last=*/false, &trace, {.stage = 1, .microbatch = 4});
  gradients.add_product(cpu_kernels(), group, at::ones({5, 3}), at::ones({5, 2}));
  trace.end();
  ASSERT_EQ(trace.events().size(), 1U);
  EXPECT_STREQ(trace.events()[0].name, "weight gradient");
  EXPECT_EQ(trace.events()[0].stage, 1);
  EXPECT_EQ(trace.events()[0].microbatch, 4);
  EXPECT_TRUE(at::all(group.main_grad == 5).item<bool>());
}

}  // namespace
}  // namespace cloze
