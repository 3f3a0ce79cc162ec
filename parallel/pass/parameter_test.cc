#include "parallel/pass/parameter.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "parallel/base/check.h"

namespace cloze {
namespace {

ParameterSpec spec_of(const std::string& name, const Box& box, std::uint32_t site,
                      bool decays = true) {
  ParameterSpec spec;
  spec.name = name;
  spec.box = box;
  spec.site = site;
  spec.decays = decays;
  spec.initial_std = decays ? 0.02 : 0;
  return spec;
}

TEST(ParameterTableTest, MembersOfAGroupLieSideBySide) {
  ParameterTable table;
  ParameterGroup& group =
      table.add({spec_of("q", Box::whole({4, 3}), 0), spec_of("k", Box::whole({2, 3}), 1)});
  table.allocate(at::kFloat);
  EXPECT_EQ(group.value.sizes(), at::IntArrayRef({6, 3}));
  EXPECT_EQ(group.members[1].value.data_ptr<float>(), group.value.data_ptr<float>() + 12);
  group.members[1].main_grad.fill_(2);
  EXPECT_EQ(group.main_grad.sum().item<float>(), 12);
}

TEST(ParameterTableTest, GroupsBeginOnSixtyFourElementsLastLayerFirst) {
  ParameterTable table;
  ParameterGroup& first = table.add({spec_of("a", Box::whole({5, 5}), 0)});
  ParameterGroup& last = table.add({spec_of("b", Box::whole({3, 3}), 1)});
  table.allocate(at::kDouble);
  ASSERT_EQ(table.buffers().size(), 1U);
  EXPECT_EQ(table.buffers()[0].groups, (std::vector<ParameterGroup*>{&last, &first}));
  EXPECT_EQ(table.buffers()[0].offsets, (std::vector<std::int64_t>{0, 64}));
  EXPECT_EQ(table.buffers()[0].value.numel(), 128);
}

TEST(ParameterTableTest, DecayClassesHaveBuffersOfTheirOwn) {
  ParameterTable table;
  table.add({spec_of("w", Box::whole({5, 5}), 0)});
  table.add({spec_of("norm", Box::whole({5}), 1, /*decays=*/false)});
  table.allocate(at::kFloat);
  ASSERT_EQ(table.buffers().size(), 2U);
  EXPECT_NE(table.buffers()[0].decays, table.buffers()[1].decays);
  EXPECT_THROW(table.add({spec_of("x", Box::whole({5}), 2),
                          spec_of("y", Box::whole({5}), 3, /*decays=*/false)}),
               Error);
}

TEST(ParameterTableTest, APartGetsTheNumbersOfItsPlaceInTheWhole) {
  const Shape global = {12, 10};
  const auto values_of = [&](const Box& box) {
    at::Tensor values = at::empty(box.shape, at::kDouble);
    initial_values(spec_of("w", box, 3), 99, values.data_ptr<double>());
    return values;
  };
  const at::Tensor whole = values_of(Box::whole(global));
  EXPECT_TRUE(at::equal(values_of(Box::cut(global, 0, 5, 4)), whole.narrow(0, 5, 4)));
  EXPECT_TRUE(at::equal(values_of(Box::cut(global, 1, 3, 7)), whole.narrow(1, 3, 7)));
  EXPECT_NEAR(whole.std().item<double>(), 0.02, 0.004);
}

TEST(ParameterTableTest, SixteenBitValuesAreTheRoundedNumbersOfSinglePrecision) {
  const auto values_of = [](at::ScalarType type) {
    ParameterTable table;
    ParameterGroup& group = table.add({spec_of("w", Box::whole({8, 8}), 0)});
    table.allocate(type);
    table.initialise(7);
    EXPECT_EQ(group.main_grad.scalar_type(), at::kFloat);
    return group.value.clone();
  };
  EXPECT_TRUE(at::equal(values_of(at::kFloat).to(at::kBFloat16), values_of(at::kBFloat16)));
}

TEST(ParameterTableTest, ACopySharesValuesButNotGradients) {
  ParameterTable table;
  ParameterGroup& owner = table.add({spec_of("embedding", Box::whole({6, 4}), 0)});
  ParameterGroup& copy = table.add_copy(spec_of("embedding", Box::whole({6, 4}), 0), &owner);
  table.allocate(at::kFloat);
  EXPECT_EQ(copy.value.data_ptr(), owner.value.data_ptr());
  EXPECT_NE(copy.main_grad.data_ptr(), owner.main_grad.data_ptr());
  EXPECT_EQ(table.owned().size(), 1U);  // Counted once.
  copy.main_grad.fill_(1);
  table.zero_gradients();
  EXPECT_EQ(copy.main_grad.sum().item<float>(), 0);
}

}  // namespace
}  // namespace cloze
