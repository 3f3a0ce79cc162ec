// Grids, blocks and the memory beside the arguments, for sizes at the limits.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/attention_tensor.h"
#include "parallel/kernels/cuda/bias.h"
#include "parallel/kernels/cuda/element.h"
#include "parallel/kernels/cuda/embedding.h"
#include "parallel/kernels/cuda/norm.h"
#include "parallel/kernels/cuda/sort.h"
#include "parallel/kernels/cuda/sums.h"

namespace cloze::cuda {
namespace {

constexpr std::int64_t k2To31 = std::int64_t{1} << 31;
constexpr std::int64_t k2To40 = std::int64_t{1} << 40;

TEST(GridTest, GoesOnInStridesBeyondTheLargest) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  EXPECT_EQ(grid_of(0), 0U);
  EXPECT_EQ(grid_of(1), 1U);
  EXPECT_EQ(grid_of(kLargest - 1), kLargest - 1);
  EXPECT_EQ(grid_of(kLargest), kLargest);
  for (const std::int64_t count : {kLargest + 1, k2To31 - 1, k2To31, k2To31 + 1, k2To40}) {
    EXPECT_EQ(grid_of(count), kLargest) << count;
  }
  EXPECT_EQ(grid_of(7, 7), 7U);
  EXPECT_EQ(grid_of(8, 7), 7U);
}

TEST(GridTest, OfOneBlockForEachPieceHasALimit) {
  EXPECT_EQ(whole_grid(1), 1U);
  EXPECT_EQ(whole_grid(k2To31 - 1), 0x7fffffffU);
  for (const std::int64_t blocks : {std::int64_t{-1}, std::int64_t{0}, k2To31, 2 * k2To31 + 5}) {
    EXPECT_THROW(whole_grid(blocks), Error) << blocks;
  }
}

TEST(ThreadsTest, AreWholeWarpsUpToTheLargestBlock) {
  EXPECT_EQ(threads_of(0, 512), 32U);
  EXPECT_EQ(threads_of(1, 512), 32U);
  EXPECT_EQ(threads_of(32, 512), 32U);
  EXPECT_EQ(threads_of(33, 512), 64U);
  EXPECT_EQ(threads_of(479, 512), 480U);
  EXPECT_EQ(threads_of(481, 512), 512U);
  EXPECT_EQ(threads_of(513, 512), 512U);
  EXPECT_EQ(threads_of(k2To31, 256), 256U);
  EXPECT_EQ(threads_of(2 * k2To31, 256), 256U);
  EXPECT_EQ(threads_of(2 * k2To31 + 1, 128), 128U);
}

TEST(VectorsFitTest, WhereRowsAreWholeAccesses) {
  EXPECT_TRUE(vectors_fit<double>(2, {}));
  EXPECT_FALSE(vectors_fit<double>(3, {}));
  EXPECT_TRUE(vectors_fit<float>(0, {}));
  EXPECT_TRUE(vectors_fit<float>(4, {}));
  for (const std::int64_t row : {1, 2, 3, 5, 7}) EXPECT_FALSE(vectors_fit<float>(row, {})) << row;
  EXPECT_TRUE(vectors_fit<BFloat16>(8, {}));
  EXPECT_FALSE(vectors_fit<BFloat16>(4, {}));
  EXPECT_TRUE(vectors_fit<float>(k2To31, {}));
  EXPECT_FALSE(vectors_fit<float>(k2To31 + 2, {}));
  EXPECT_FALSE(vectors_fit<Float16>(2 * k2To31 + 4, {}));
}

TEST(VectorsFitTest, WhereEveryArrayIsAligned) {
  alignas(16) unsigned char bytes[32] = {};
  EXPECT_TRUE(vectors_fit<float>(4, {bytes, nullptr, bytes + 16}));
  EXPECT_TRUE(vectors_fit<float>(4, {nullptr}));
  for (const int off : {1, 2, 4, 8, 15}) {
    EXPECT_FALSE(vectors_fit<float>(4, {bytes, bytes + off})) << off;
    EXPECT_FALSE(vectors_fit<float>(4, {bytes + off, nullptr, bytes})) << off;
  }
}

TEST(VectorsFitTest, DecidesTheWidth) {
  const auto width_of = [](bool vectors) {
    int chosen = 0;
    with_width<BFloat16>(vectors, [&](auto width) { chosen = width.value; });
    return chosen;
  };
  EXPECT_EQ(width_of(true), 8);
  EXPECT_EQ(width_of(false), 1);
}

TEST(SortedSizeTest, IsAPowerOfTwoOfWholeTiles) {
  EXPECT_EQ(sorted_size(0), 2048);
  EXPECT_EQ(sorted_size(1), 2048);
  EXPECT_EQ(sorted_size(2047), 2048);
  EXPECT_EQ(sorted_size(2048), 2048);
  EXPECT_EQ(sorted_size(2049), 4096);
  EXPECT_EQ(sorted_size(k2To31 - 1), k2To31);
  EXPECT_EQ(sorted_size(k2To31), k2To31);
  EXPECT_EQ(sorted_size(k2To31 + 1), 2 * k2To31);
  EXPECT_EQ(embedding_backward_workspace(0), 2048 * 8);
  EXPECT_EQ(embedding_backward_workspace(2049), 4096 * 8);
  EXPECT_EQ(embedding_backward_workspace(k2To31 + 1), 2 * k2To31 * 8);
}

TEST(WorkspaceTest, OfSquaresHasASumForEachChunk) {
  constexpr std::int64_t kChunk = 65536;
  EXPECT_EQ(sum_of_squares_workspace(0), 0);
  EXPECT_EQ(sum_of_squares_workspace(1), 8);
  EXPECT_EQ(sum_of_squares_workspace(kChunk - 1), 8);
  EXPECT_EQ(sum_of_squares_workspace(kChunk), 8);
  EXPECT_EQ(sum_of_squares_workspace(kChunk + 1), 2 * 8);
  EXPECT_EQ(sum_of_squares_workspace(k2To31), 32768 * 8);
  EXPECT_EQ(sum_of_squares_workspace(k2To31 + 1), 32769 * 8);
}

TEST(WorkspaceTest, OfNormsHasTwoRowsForEachPart) {
  EXPECT_EQ(norm_backward_workspace<float>(0, 7), 0);
  EXPECT_EQ(norm_backward_workspace<float>(1, 7), 2 * 7 * 4);
  EXPECT_EQ(norm_backward_workspace<BFloat16>(255, 7), 2 * 255 * 7 * 4);
  EXPECT_EQ(norm_backward_workspace<double>(256, 7), 2 * 256 * 7 * 8);
  EXPECT_EQ(norm_backward_workspace<double>(257, 7), 2 * 256 * 7 * 8);
  EXPECT_EQ(norm_backward_workspace<float>(k2To31 + 1, k2To31), 2 * 256 * k2To31 * 4);
}

TEST(WorkspaceTest, OfABiasHasARowForEach128) {
  EXPECT_EQ(bias_gradient_workspace<float>(0, 9), 0);
  EXPECT_EQ(bias_gradient_workspace<float>(1, 9), 9 * 4);
  EXPECT_EQ(bias_gradient_workspace<Float16>(128, 9), 9 * 4);
  EXPECT_EQ(bias_gradient_workspace<Float16>(129, 9), 2 * 9 * 4);
  EXPECT_EQ(bias_gradient_workspace<double>(128 * 128, 9), 128 * 9 * 8);
  EXPECT_EQ(bias_gradient_workspace<double>(128 * 128 + 1, 9), 128 * 9 * 8);
  EXPECT_EQ(bias_gradient_workspace<float>(k2To31 + 1, k2To31 + 1), 128 * (k2To31 + 1) * 4);
}

AttentionShape heads_of(std::int64_t tokens, std::int64_t heads, std::int64_t kv_heads,
                        std::int64_t head_dim) {
  return {.tokens = tokens,
          .heads = heads,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .q_stride = heads * head_dim,
          .kv_stride = kv_heads * head_dim,
          .out_stride = heads * head_dim};
}

TEST(WorkspaceTest, OfAttentionHasBoundsAndDeltas) {
  // 16 bytes for each 16 tokens, a number for each of every head, to whole accesses.
  EXPECT_EQ(attention_backward_workspace<float>(heads_of(0, 3, 1, 64)), 0);
  EXPECT_EQ(attention_backward_workspace<float>(heads_of(1, 3, 1, 64)), 16 + 16);
  EXPECT_EQ(attention_backward_workspace<float>(heads_of(16, 3, 1, 64)), 16 + 16 * 3 * 4);
  EXPECT_EQ(attention_backward_workspace<float>(heads_of(17, 3, 1, 64)), 32 + 208);
  EXPECT_EQ(attention_backward_workspace<double>(heads_of(17, 3, 1, 64)), 32 + 416);
  const std::int64_t tokens = k2To31 - 1;
  EXPECT_EQ(attention_backward_workspace<float>(heads_of(tokens, 64, 8, 64)),
            k2To31 + tokens * 64 * 4);
}

TEST(WorkspaceTest, OfAttentionOnTensorCoresHasPartsOfHeadsThatShareKeys) {
  const auto parts_of = [](const AttentionShape& shape) {
    AttentionShape alone = shape;
    alone.head_dim = 72;  // For the ordinary units.
    return attention_backward_workspace<BFloat16>(shape) -
           attention_backward_workspace<BFloat16>(alone);
  };
  EXPECT_EQ(parts_of(heads_of(33, 2, 2, 64)), 0);
  EXPECT_EQ(parts_of(heads_of(33, 2, 1, 64)), 2 * 2 * 33 * 64 * 4);
  EXPECT_EQ(parts_of(heads_of(33, 6, 2, 128)), 2 * 3 * 33 * 2 * 128 * 4);
  EXPECT_EQ(parts_of(heads_of(33, 32, 2, 128)), 2 * 4 * 33 * 2 * 128 * 4);
  EXPECT_EQ(parts_of(heads_of(33, 32, 2, 256)), 0);
  EXPECT_EQ(parts_of(heads_of(k2To31 - 1, 32, 2, 128)), 2 * 4 * (k2To31 - 1) * 2 * 128 * 4);
  EXPECT_EQ(attention_backward_workspace<float>(heads_of(33, 2, 1, 64)),
            attention_backward_workspace<float>(heads_of(33, 2, 1, 72)));
}

TEST(HeadPartsTest, AreAtMostFour) {
  const std::vector<std::int64_t> parts = {1, 2, 3, 4, 4, 4};
  for (std::int64_t group = 1; group <= 6; ++group) {
    EXPECT_EQ(num_head_parts(heads_of(10, 3 * group, 3, 64)), parts[group - 1]) << group;
  }
}

}  // namespace
}  // namespace cloze::cuda
