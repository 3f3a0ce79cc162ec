// Tests of the products of tensors, on tiles where there are some, against LibTorch in float64.
#include "parallel/pass/product.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <sstream>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::int64_t kRows = 200, kColumns = 170, kDepth = 301;

// Products large enough for tiles; small ones go to LibTorch with either table.
class ProductTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !has_tile_unit()) GTEST_SKIP() << "this processor has no tile unit";
    at::manual_seed(7);
  }

  static const Kernels& kernels() { return GetParam() ? cpu_kernels_on_tiles() : cpu_kernels(); }

  static at::Tensor made(std::int64_t rows, std::int64_t columns, at::ScalarType type) {
    return at::randn({rows, columns}, at::kDouble).to(type);
  }

  static void expect_close(const at::Tensor& actual, const at::Tensor& expected, double allowed) {
    const double scale = expected.abs().max().item<double>();
    EXPECT_LT((actual.to(at::kDouble) - expected).abs().max().item<double>(), allowed * scale);
  }

  static at::Tensor exact(const at::Tensor& a, const at::Tensor& b) {
    return at::mm(a.to(at::kDouble), b.to(at::kDouble));
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, ProductTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "OnTiles" : "OfTheLibrary"; });

TEST_P(ProductTest, ViewsAndTheirTransposesAreFactors) {
  for (const bool a_turned : {false, true}) {
    for (const bool b_turned : {false, true}) {
      // Parts of wider tensors, as a layer's gate and up are.
      const at::Tensor a = a_turned ? made(kDepth, kRows + 9, at::kFloat).narrow(1, 4, kRows).t()
                                    : made(kRows, kDepth + 9, at::kFloat).narrow(1, 4, kDepth);
      const at::Tensor b = b_turned
                               ? made(kColumns, kDepth + 9, at::kFloat).narrow(1, 2, kDepth).t()
                               : made(kDepth, kColumns + 9, at::kFloat).narrow(1, 2, kColumns);
      expect_close(product(kernels(), a, b), exact(a, b), 1e-6);
      at::Tensor wide = at::full({kRows, kColumns + 3}, 5.0F);
      at::Tensor c = wide.narrow(1, 0, kColumns);
      product_out(kernels(), a, b, c);
      expect_close(c, exact(a, b), 1e-6);
      EXPECT_TRUE(at::all(at::eq(wide.narrow(1, kColumns, 3), 5)).item<bool>());
    }
  }
}

TEST_P(ProductTest, SumsTakeFactorsOfEveryType) {
  for (const auto& [type, sum_type] : {std::pair{at::kFloat, at::kFloat},
                                       {at::kBFloat16, at::kFloat},
                                       {at::kHalf, at::kFloat},
                                       {at::kDouble, at::kDouble}}) {
    const at::Tensor a = made(kDepth, kRows, type).t();
    const at::Tensor b = made(kDepth, kColumns, type);
    at::Tensor sum = at::ones({kRows, kColumns}, sum_type);
    add_product(kernels(), a, b, sum);
    expect_close(sum, exact(a, b) + 1, 1e-6);
  }
}

TEST_P(ProductTest, OneWorkspaceServesSmallerShapes) {
  const std::int64_t bytes =
      product_workspace(kernels(), at::kFloat, {.rows = kRows, .columns = 3000, .depth = 700});
  EXPECT_EQ(bytes > 0, GetParam());
  const at::Tensor workspace = at::empty({bytes}, at::kByte);
  for (const std::int64_t rows : {kRows, kRows - 7, std::int64_t{40}, std::int64_t{3}}) {
    for (const std::int64_t depth : {700, 513, 250}) {
      const at::Tensor a = made(rows, depth, at::kFloat);
      const at::Tensor b = made(depth, 3000, at::kFloat);
      at::Tensor c = at::empty({rows, 3000}, at::kFloat);
      product_out(kernels(), a, b, c, workspace);
      expect_close(c, exact(a, b), 1e-6);
    }
  }
}

TEST_P(ProductTest, WhatDoesNotFitIsAnError) {
  if (!GetParam()) GTEST_SKIP() << "LibTorch's errors are LibTorch's";
  const at::Tensor a = made(kRows, kDepth, at::kFloat);
  const at::Tensor b = made(kDepth, kColumns, at::kFloat);
  at::Tensor narrow = at::empty({kRows, kColumns - 1}, at::kFloat);
  EXPECT_THROW(product_out(kernels(), a, b, narrow), Error);
  EXPECT_THROW(product(kernels(), a, b.narrow(0, 0, kDepth - 1)), Error);
  EXPECT_THROW(
      product(kernels(), made(kRows, 2 * kDepth, at::kFloat).slice(1, 0, 2 * kDepth, 2), b), Error);
  EXPECT_THROW(product(kernels(), a, b.to(at::kBFloat16)), Error);
  at::Tensor c = at::empty({kRows, kColumns}, at::kFloat);
  EXPECT_THROW(product_out(kernels(), a, b, c, at::empty({64}, at::kByte)), Error);
}

// Frobenius norms relative to the product's; --gtest_output=json:FILE has them.
TEST(ProductErrorTest, TilesAreCloserToFloat64ThanTheLibrary) {
  if (!has_tile_unit()) GTEST_SKIP() << "this processor has no tile unit";
  at::manual_seed(7);
  for (const ProductShape& shape : {ProductShape{2048, 2048, 2048}, ProductShape{2048, 2752, 512},
                                    ProductShape{512, 512, 32000}}) {
    const at::Tensor a = at::randn({shape.rows, shape.depth}, at::kFloat);
    const at::Tensor b = at::randn({shape.depth, shape.columns}, at::kFloat);
    const at::Tensor exact = at::mm(a.to(at::kDouble), b.to(at::kDouble));
    const auto error_of = [&](const char* what, const Kernels& kernels) {
      const at::Tensor difference = product(kernels, a, b).to(at::kDouble) - exact;
      const double error = difference.norm().item<double>() / exact.norm().item<double>();
      std::ostringstream name;
      name << what << "_" << shape.rows << "x" << shape.columns << "x" << shape.depth;
      std::ostringstream value;
      value << error;
      testing::Test::RecordProperty(name.str(), value.str());
      return error;
    };
    EXPECT_LT(error_of("tiles", cpu_kernels_on_tiles()), error_of("library", cpu_kernels()))
        << "depth " << shape.depth;
  }
}

}  // namespace
}  // namespace cloze
