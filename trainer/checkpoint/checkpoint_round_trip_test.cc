// What is saved in any layout loads in any other, bit for bit.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

using testing::draw;
using testing::Random;
using testing::TestTensor;

std::vector<TestTensor> mixed_tensors(Random& random) {
  return {testing::random_tensor(random, "embed.weight", DType::kF32, {37, 12}),
          testing::random_tensor(random, "optimizer.exp_avg.embed.weight", DType::kF64, {37, 12}),
          testing::random_tensor(random, "experts.weight", DType::kBF16, {3, 5, 7}),
          testing::random_tensor(random, "norm.weight", DType::kF16, {9}),
          testing::random_tensor(random, "counts", DType::kI64, {2, 2, 2, 2}),
          testing::random_tensor(random, "flags", DType::kU8, {11}),
          testing::random_tensor(random, "scale", DType::kF32, {})};
}

TEST(CheckpointRoundTripTest, AnyLayoutLoadsInAnyOther) {
  Random random(11);
  for (int round = 0; round < 60; ++round) {
    const ScratchFolder scratch;
    const std::vector<TestTensor> tensors = mixed_tensors(random);
    const std::filesystem::path folder = testing::save_checkpoint(
        random, scratch.path(), tensors,
        {.ranks = static_cast<int>(draw(random, 1, 5)), .parts = draw(random, 1, 4)});
    const Checkpoint opened = Checkpoint::open(folder);
    EXPECT_TRUE(opened.warnings().empty());
    opened.verify();
    for (const TestTensor& tensor : tensors) {
      ASSERT_EQ(opened.shape(tensor.name), tensor.shape);
      ASSERT_EQ(opened.dtype(tensor.name), tensor.dtype);
      for (const Box& box : testing::random_grid(random, tensor.shape, 4)) {
        const std::vector<std::byte> expected = testing::bytes_of(tensor, box);
        std::vector<std::byte> loaded(expected.size());
        opened.read(tensor.name, box, tensor.dtype, loaded.data());
        ASSERT_EQ(loaded, expected) << tensor.name;
      }
      ASSERT_EQ(opened.content_digest(tensor.name), digest_of(tensor.data));
    }
  }
}

TEST(CheckpointRoundTripTest, EntriesOfManyChunksLoad) {
  Random random(12);
  const ScratchFolder scratch;
  // 9 MB in rows of 3000 bytes: three chunks, whose borders lie inside rows.
  const std::vector<TestTensor> tensors = {
      testing::random_tensor(random, "large", DType::kF32, {3000, 750})};
  const std::filesystem::path folder =
      testing::save_checkpoint(random, scratch.path(), tensors, {.ranks = 1, .parts = 1});
  const Checkpoint opened = Checkpoint::open(folder);
  EXPECT_EQ(opened.manifest().tensors(0).entries(0).digests().size(), 3 * Digest::kBytes);
  for (const Box& box : {Box::whole({3000, 750}), Box::cut({3000, 750}, 1, 100, 300),
                         Box::cut({3000, 750}, 0, 1398, 3)}) {
    const std::vector<std::byte> expected = testing::bytes_of(tensors[0], box);
    std::vector<std::byte> loaded(expected.size());
    opened.read("large", box, DType::kF32, loaded.data());
    ASSERT_EQ(loaded, expected);
  }
  EXPECT_EQ(opened.content_digest("large"), digest_of(tensors[0].data));
}

TEST(CheckpointRoundTripTest, TheStateComesBack) {
  Random random(13);
  const ScratchFolder scratch;
  const Checkpoint opened = Checkpoint::open(
      testing::save_checkpoint(random, scratch.path(), testing::small_tensors(random)));
  EXPECT_EQ(opened.state().step(), 100);
  EXPECT_EQ(opened.state().run_id(), "run-1");
  EXPECT_EQ(opened.state().consumed_rows(), 800);
  EXPECT_EQ(opened.state().lineage().restarts(), 1);
  EXPECT_EQ(opened.state().optimizer_steps().at("layer.weight"), 100);
  EXPECT_EQ(opened.names(), (std::vector<std::string>{"layer.bias", "layer.weight",
                                                      "optimizer.exp_avg.layer.weight", "scale"}));
}

TEST(CheckpointRoundTripTest, FloatsConvertAndOtherTypesDoNot) {
  Random random(14);
  const ScratchFolder scratch;
  TestTensor tensor{"w", DType::kF32, {3}, std::vector<std::byte>(12)};
  const std::vector<float> values = {1.5F, -2.0F, 1.0F + 0x1p-20F};
  std::memcpy(tensor.data.data(), values.data(), 12);
  const TestTensor counts = testing::random_tensor(random, "counts", DType::kI64, {2});
  const Checkpoint opened =
      Checkpoint::open(testing::save_checkpoint(random, scratch.path(), {tensor, counts}));
  std::vector<double> wide(3);
  opened.read("w", Box::whole({3}), DType::kF64, wide.data());
  EXPECT_EQ(wide, (std::vector<double>{1.5, -2.0, 1.0 + 0x1p-20}));
  std::vector<BFloat16> narrow(3);
  opened.read("w", Box::whole({3}), DType::kBF16, narrow.data());
  EXPECT_EQ(static_cast<float>(narrow[2]), 1.0F);
  EXPECT_EQ(
      testing::code_of([&] { opened.read("counts", Box::whole({2}), DType::kF64, wide.data()); }),
      ExitCode::kBadInput);
}

TEST(CheckpointRoundTripTest, AnotherModelIsToldApart) {
  Random random(15);
  const ScratchFolder scratch;
  const Checkpoint opened = Checkpoint::open(
      testing::save_checkpoint(random, scratch.path(), testing::small_tensors(random)));
  std::vector<float> out(100);
  std::string text;
  EXPECT_EQ(testing::code_of(
                [&] {
                  opened.read("layer.weight", Box::whole({6, 6}), DType::kF32, out.data());
                },
                &text),
            ExitCode::kBadInput);
  EXPECT_NE(text.find("[6, 5]"), std::string::npos) << text;
  EXPECT_EQ(testing::code_of([&] {
              opened.read("head.weight", Box::whole({6, 6}), DType::kF32, out.data());
            }),
            ExitCode::kBadInput);
  EXPECT_FALSE(opened.has("head.weight"));
}

TEST(CheckpointRoundTripTest, AnOpenedCheckpointMayMove) {
  Random random(16);
  const ScratchFolder scratch;
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  std::vector<Checkpoint> held;
  held.push_back(Checkpoint::open(testing::save_checkpoint(random, scratch.path(), tensors)));
  Checkpoint moved = std::move(held.back());
  held.clear();
  EXPECT_EQ(moved.content_digest("layer.weight"), digest_of(tensors[0].data));
}

}  // namespace
}  // namespace cloze
