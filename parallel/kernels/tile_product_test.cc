// Tests of the products on the tile unit, against sums in double.
#include "parallel/kernels/tile_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

// A matrix whose rows, or columns, are contiguous, with room between them.
struct TestMatrix {
  TestMatrix(std::int64_t rows, std::int64_t columns, bool row_major, std::uint64_t seed,
             double scale = 1.0)
      : stride((row_major ? columns : rows) + 3),
        values(normals<float>((row_major ? rows : columns) * stride, seed, scale)),
        matrix{values.data(), row_major ? stride : 1, row_major ? 1 : stride} {}

  double at(std::int64_t row, std::int64_t column) const {
    return matrix.data[row * matrix.row_stride + column * matrix.column_stride];
  }

  std::int64_t stride;
  std::vector<float> values;
  FloatMatrix matrix;
};

struct Problem {
  ProductShape shape;
  bool a_row_major = true;
  bool b_row_major = true;
  double scale = 1.0;

  TestMatrix a() const { return {shape.rows, shape.depth, a_row_major, 1, scale}; }
  TestMatrix b() const { return {shape.depth, shape.columns, b_row_major, 2, scale}; }
};

constexpr std::int64_t kGap = 5;  // Between the rows of c.

// c as tile_product() leaves it where it was `before` everywhere.
std::vector<float> product_of(const Problem& problem, const TestMatrix& a, const TestMatrix& b,
                              bool add, float before) {
  const ProductShape& shape = problem.shape;
  std::vector<float> c(shape.rows * (shape.columns + kGap), before);
  const std::int64_t bytes = (tile_product_workspace(shape) + 63) / 64 * 64;
  const std::unique_ptr<void, decltype(&std::free)> workspace(
      std::aligned_alloc(64, static_cast<std::size_t>(bytes)), &std::free);
  tile_product(shape, a.matrix, b.matrix, c.data(), shape.columns + kGap, add, workspace.get());
  return c;
}

// Within two units of fp32's last place of the sum of magnitudes, and nothing beyond the rows.
void expect_exact_enough(const Problem& problem) {
  const ProductShape& shape = problem.shape;
  const TestMatrix a = problem.a();
  const TestMatrix b = problem.b();
  constexpr float kBefore = 0.5F;
  for (const bool add : {false, true}) {
    const std::vector<float> c = product_of(problem, a, b, add, kBefore);
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      const float* actual = c.data() + row * (shape.columns + kGap);
      for (std::int64_t column = 0; column < shape.columns; ++column) {
        double sum = add ? kBefore : 0;
        double magnitudes = std::abs(sum);
        for (std::int64_t k = 0; k < shape.depth; ++k) {
          const double term = a.at(row, k) * b.at(k, column);
          sum += term;
          magnitudes += std::abs(term);
        }
        ASSERT_NEAR(actual[column], sum, 0x1p-22 * magnitudes)
            << "row " << row << ", column " << column << (add ? ", added" : "");
      }
      for (std::int64_t gap = 0; gap < kGap; ++gap) {
        ASSERT_EQ(actual[shape.columns + gap], kBefore) << "behind row " << row;
      }
    }
  }
}

class TileProductTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_tile_unit()) GTEST_SKIP() << "this processor has no tile unit";
  }
};

TEST_F(TileProductTest, IsTheProductInEveryOrientation) {
  for (const ProductShape& shape :
       {ProductShape{1, 1, 1}, ProductShape{33, 70, 47}, ProductShape{64, 96, 256},
        ProductShape{17, 290, 1100}, ProductShape{200, 31, 515}}) {
    for (const bool a_row_major : {true, false}) {
      for (const bool b_row_major : {true, false}) {
        SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns << " x "
                                        << shape.depth << ", " << a_row_major << b_row_major);
        expect_exact_enough({shape, a_row_major, b_row_major});
      }
    }
  }
}

TEST_F(TileProductTest, HoldsItsPrecisionForLargeAndSmallNumbers) {
  expect_exact_enough({.shape = {40, 40, 300}, .scale = 1e15});
  expect_exact_enough({.shape = {40, 40, 300}, .scale = 1e-15});
}

TEST_F(TileProductTest, IsCloserThanASumInFloat) {
  const Problem problem{.shape = {48, 48, 2048}};
  const TestMatrix a = problem.a();
  const TestMatrix b = problem.b();
  const std::vector<float> c = product_of(problem, a, b, false, 0);
  double tiles = 0;
  double floats = 0;
  for (std::int64_t row = 0; row < 48; ++row) {
    for (std::int64_t column = 0; column < 48; ++column) {
      double exact = 0;
      float sum = 0;
      for (std::int64_t k = 0; k < problem.shape.depth; ++k) {
        exact += a.at(row, k) * b.at(k, column);
        sum += static_cast<float>(a.at(row, k)) * static_cast<float>(b.at(k, column));
      }
      tiles += std::pow(c[row * (48 + kGap) + column] - exact, 2);
      floats += std::pow(sum - exact, 2);
    }
  }
  EXPECT_LT(tiles, floats / 4);
}

// More rows and columns than a block of panels has; both factors take both roles.
TEST_F(TileProductTest, AnElementHasTheSameBitsInEveryShape) {
  const std::int64_t depth = 600;
  const Problem large{.shape = {2100, 2090, depth}};
  const TestMatrix a = large.a();
  const TestMatrix b = large.b();
  const std::vector<float> whole = product_of(large, a, b, false, 0);
  for (const ProductShape& shape :
       {ProductShape{40, 2090, depth}, ProductShape{2100, 50, depth}, ProductShape{1, 1, depth}}) {
    const std::vector<float> part = product_of({.shape = shape}, a, b, false, 0);
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      for (std::int64_t column = 0; column < shape.columns; ++column) {
        ASSERT_EQ(part[row * (shape.columns + kGap) + column],
                  whole[row * (large.shape.columns + kGap) + column])
            << row << ", " << column;
      }
    }
  }
}

TEST_F(TileProductTest, ThreadsChangeNoBit) {
  const Problem problem{.shape = {300, 170, 700}, .a_row_major = false};
  const TestMatrix a = problem.a();
  const TestMatrix b = problem.b();
  expect_same_bits_on_any_threads([&] { return product_of(problem, a, b, true, 1); });
}

TEST_F(TileProductTest, NumbersThatAreNoneShow) {
  const Problem problem{.shape = {4, 4, 40}};
  const TestMatrix b = problem.b();
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e38F}) {
    TestMatrix a = problem.a();
    a.values[2 * a.stride + 7] = bad;
    const std::vector<float> c = product_of(problem, a, b, false, 0);
    EXPECT_FALSE(std::isfinite(c[2 * (4 + kGap)])) << bad;
    EXPECT_TRUE(std::isfinite(c[1 * (4 + kGap)])) << "another row";
  }
}

TEST(TileProductShapeTest, SmallerShapesNeedNoMoreWorkspace) {
  for (const std::int64_t rows : {40, 1000, 1024, 1025, 1100, 2048, 5000}) {
    for (const std::int64_t columns : {32, 1024, 1030, 4096, 32000}) {
      for (const std::int64_t depth : {32, 500, 512, 513, 1024, 3000}) {
        const std::int64_t bytes = tile_product_workspace({rows, columns, depth});
        for (const ProductShape& smaller :
             {ProductShape{rows - 1, columns, depth}, ProductShape{rows, columns - 1, depth},
              ProductShape{rows, columns, depth - 1}, ProductShape{rows / 2, columns, depth},
              ProductShape{rows, columns / 2, depth}, ProductShape{rows, columns, depth / 2},
              ProductShape{std::min<std::int64_t>(rows, 1024), columns, depth}}) {
          EXPECT_LE(tile_product_workspace(smaller), bytes)
              << rows << " x " << columns << " x " << depth << " and " << smaller.rows << " x "
              << smaller.columns << " x " << smaller.depth;
        }
      }
    }
  }
}

TEST(TileProductShapeTest, SmallProductsAreTheLibrarys) {
  EXPECT_TRUE(fills_tiles({2048, 512, 512}));
  EXPECT_FALSE(fills_tiles({1, 4096, 4096})) << "one token";
  EXPECT_FALSE(fills_tiles({64, 64, 64}));
}

}  // namespace
}  // namespace cloze
