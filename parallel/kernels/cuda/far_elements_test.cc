// Arrays of more than 2^31 elements: kernels reach their ends. Memory is reserved and not touched,
// and of large grids only the last block runs, which has the last elements.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel/kernels/activation.h"
#include "parallel/kernels/adamw.h"
#include "parallel/kernels/attention.h"
#include "parallel/kernels/bias.h"
#include "parallel/kernels/cross_entropy.h"
#include "parallel/kernels/cuda/activation.h"
#include "parallel/kernels/cuda/adamw.h"
#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/bias.h"
#include "parallel/kernels/cuda/cast.h"
#include "parallel/kernels/cuda/cross_entropy.h"
#include "parallel/kernels/cuda/dropout.h"
#include "parallel/kernels/cuda/embedding.h"
#include "parallel/kernels/cuda/emulator.h"
#include "parallel/kernels/cuda/norm.h"
#include "parallel/kernels/cuda/rotary.h"
#include "parallel/kernels/cuda/sums.h"
#include "parallel/kernels/dropout.h"
#include "parallel/kernels/embedding.h"
#include "parallel/kernels/norm.h"
#include "parallel/kernels/rotary.h"
#include "parallel/kernels/sums.h"
#include "parallel/kernels/test_values.h"

namespace cloze {
namespace {

using T = BFloat16;

constexpr std::int64_t kRows = std::int64_t{1} << 20;  // As many as a grid has blocks.
constexpr std::int64_t kWidth = 4104;                  // kRows * kWidth > 2^32.
constexpr std::int64_t kFarStride = (std::int64_t{1} << 30) + 8;
constexpr std::int64_t kMany = 3 * (std::int64_t{1} << 31);  // Swept by blocks of a grid.

// Zeros, until something is written.
template <class E>
class FarArray {
 public:
  explicit FarArray(std::int64_t size) : size_(size) {
    void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no room for an array");
    data_ = static_cast<E*>(memory);
  }
  ~FarArray() { munmap(data_, bytes()); }
  FarArray(const FarArray&) = delete;
  FarArray& operator=(const FarArray&) = delete;

  E* data() { return data_; }
  // The last `count` elements, and what they are filled with.
  E* end(std::int64_t count) { return data_ + size_ - count; }
  E* fill_end(std::int64_t count, std::uint64_t seed) {
    const auto values = normals<E>(count, seed);
    std::memcpy(static_cast<void*>(end(count)), values.data(), count * sizeof(E));
    return end(count);
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(E); }

  std::int64_t size_;
  E* data_ = nullptr;
};

template <class E>
void expect_near(const E* actual, const E* expected, std::int64_t count, const std::string& what) {
  double largest = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double want = to_double(expected[i]);
    ASSERT_NEAR(to_double(actual[i]), want, 4 * tolerance<E>() * std::max(1.0, std::abs(want)))
        << what << " " << i;
    largest = std::max(largest, std::abs(want));
  }
  EXPECT_GT(largest, 0.0) << what;
}

class FarElementsTest : public testing::Test {
 protected:
  void SetUp() override { cuda::emulator::only_last_block(true); }
  void TearDown() override { cuda::emulator::only_last_block(false); }
};

TEST_F(FarElementsTest, NormForward) {
  FarArray<T> x(kRows * kWidth), delta(kRows * kWidth), sum(kRows * kWidth), y(kRows * kWidth);
  FarArray<float> rstd(kRows);
  const auto weight = normals<T>(kWidth, 1);
  const T* row = x.fill_end(kWidth, 2);
  const T* row_delta = delta.fill_end(kWidth, 3);
  cuda::rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), kRows, kWidth, 1e-5,
                            delta.data(), sum.data(), nullptr);
  std::vector<T> want_y(kWidth), want_sum(kWidth);
  float want_rstd = 0;
  rms_norm_forward<T>(row, weight.data(), want_y.data(), &want_rstd, 1, kWidth, 1e-5, row_delta,
                      want_sum.data());
  expect_near(y.end(kWidth), want_y.data(), kWidth, "y");
  expect_near(sum.end(kWidth), want_sum.data(), kWidth, "sum");
  expect_near(rstd.end(1), &want_rstd, 1, "rstd");
}

// As many rows as there are parts, so that the last block has one.
TEST_F(FarElementsTest, NormBackward) {
  constexpr std::int64_t kN = 256;
  constexpr std::int64_t kHidden = (std::int64_t{1} << 23) + 8;
  constexpr std::int64_t kLast = 256;
  FarArray<T> dy(kN * kHidden), x(kN * kHidden), dx(kN * kHidden), weight(kHidden);
  FarArray<float> dweight(kHidden), want_dweight(kHidden);
  FarArray<unsigned char> workspace(cuda::norm_backward_workspace<T>(kN, kHidden));
  dy.fill_end(kLast, 1);
  x.fill_end(kLast, 2);
  weight.fill_end(kLast, 3);
  std::vector<float> rstd(kN, 0.5F);
  cuda::rms_norm_backward<T>(dy.data(), x.data(), weight.data(), rstd.data(), dx.data(),
                             dweight.data(), kN, kHidden, nullptr, workspace.data(), nullptr);
  FarArray<T> want_dx(kHidden);
  rms_norm_backward<T>(dy.end(kHidden), x.end(kHidden), weight.data(), rstd.data(), want_dx.data(),
                       want_dweight.data(), 1, kHidden);
  expect_near(dx.end(kLast), want_dx.end(kLast), kLast, "dx");
  expect_near(dweight.end(8), want_dweight.end(8), 8, "dweight");
}

TEST_F(FarElementsTest, Activations) {
  constexpr std::int64_t kHalf = kWidth / 2 - 4;  // Whole accesses.
  FarArray<T> gate_up(kRows * 2 * kHalf), out(kRows * kHalf), dgate_up(kRows * 2 * kHalf);
  const T* row = gate_up.fill_end(2 * kHalf, 1);
  cuda::swiglu_forward<T>(gate_up.data(), out.data(), kRows, kHalf, nullptr);
  std::vector<T> want(2 * kHalf);
  swiglu_forward<T>(row, want.data(), 1, kHalf);
  expect_near(out.end(kHalf), want.data(), kHalf, "out");
  cuda::swiglu_backward<T>(out.data(), gate_up.data(), dgate_up.data(), kRows, kHalf, nullptr);
  swiglu_backward<T>(out.end(kHalf), row, want.data(), 1, kHalf);
  expect_near(dgate_up.end(2 * kHalf), want.data(), 2 * kHalf, "dgate_up");

  FarArray<T> x(kRows * kWidth), y(kRows * kWidth);
  const T* x_row = x.fill_end(kWidth, 2);
  std::vector<T> want_y(kWidth);
  cuda::gelu_forward<T>(x.data(), nullptr, y.data(), kRows, kWidth, nullptr);
  gelu_forward<T>(x_row, nullptr, want_y.data(), 1, kWidth);
  expect_near(y.end(kWidth), want_y.data(), kWidth, "gelu");
}

TEST_F(FarElementsTest, Biases) {
  constexpr std::int64_t kFilled = 3 * kWidth;
  FarArray<T> x(kRows * kWidth);
  const auto bias = normals<T>(kWidth, 1);
  const T* filled = x.fill_end(kFilled, 2);
  FarArray<float> dbias(kWidth), want_dbias(kWidth);
  FarArray<unsigned char> workspace(cuda::bias_gradient_workspace<T>(kRows, kWidth));
  cuda::bias_gradient<T>(x.data(), dbias.data(), kRows, kWidth, workspace.data(), nullptr);
  bias_gradient<T>(filled, want_dbias.data(), 3, kWidth);
  expect_near(dbias.end(8), want_dbias.end(8), 8, "dbias");
  std::vector<T> want(x.end(kWidth), x.end(0));
  cuda::add_bias<T>(x.data(), bias.data(), kRows, kWidth, nullptr);
  add_bias<T>(want.data(), bias.data(), 1, kWidth);
  expect_near(x.end(kWidth), want.data(), kWidth, "x + bias");
}

TEST_F(FarElementsTest, Dropout) {
  FarArray<T> x(kRows * kWidth), y(kRows * kWidth);
  FarArray<std::int64_t> ordinals(kRows);
  FarArray<std::int32_t> index_in_row(kRows);
  const T* row = x.fill_end(kWidth, 1);
  *ordinals.end(1) = 7;
  *index_in_row.end(1) = static_cast<std::int32_t>(kRows);
  DropoutKey key{.p = 0.4,
                 .seed = 3,
                 .ordinals = ordinals.data(),
                 .index_in_row = index_in_row.data(),
                 .hidden_total = kWidth};
  cuda::dropout_add<T>(nullptr, x.data(), nullptr, &key, y.data(), kRows, kWidth, nullptr);
  key.ordinals = ordinals.end(1);
  key.index_in_row = index_in_row.end(1);
  std::vector<T> want(kWidth);
  dropout_add<T>(nullptr, row, nullptr, &key, want.data(), 1, kWidth);
  expect_near(y.end(kWidth), want.data(), kWidth, "y");
}

TEST_F(FarElementsTest, EmbeddingForward) {
  FarArray<T> table(kRows * kWidth), out(kRows * kWidth);
  FarArray<std::int32_t> ids(kRows);
  const T* row = table.fill_end(kWidth, 1);
  *ids.end(1) = static_cast<std::int32_t>(kRows - 1 + 100);
  cuda::embedding_forward<T>(table.data(), 100, kRows, ids.data(), out.data(), kRows, kWidth, false,
                             nullptr);
  expect_near(out.end(kWidth), row, kWidth, "out");
}

TEST_F(FarElementsTest, EmbeddingBackward) {
  cuda::emulator::only_last_block(false);
  const auto dout = normals<T>(2 * kWidth, 1);
  const std::int32_t ids[] = {static_cast<std::int32_t>(kRows - 1), 5};
  FarArray<float> dtable(kRows * kWidth);
  FarArray<unsigned char> workspace(cuda::embedding_backward_workspace(2));
  cuda::embedding_backward<T>(dout.data(), ids, 0, kRows, dtable.data(), 2, kWidth,
                              workspace.data(), nullptr);
  for (std::int64_t i = 0; i < kWidth; ++i) {
    ASSERT_EQ(dtable.end(kWidth)[i], static_cast<float>(dout[i])) << i;
    ASSERT_EQ(dtable.data()[5 * kWidth + i], static_cast<float>(dout[kWidth + i])) << i;
  }
}

TEST_F(FarElementsTest, Rotary) {
  constexpr std::int64_t kTokens = 5;
  FarArray<T> x(kTokens * kFarStride);
  T* const row = x.end(kFarStride);
  const RotaryTable<float> table(10000.0, 64, 10);
  const std::vector<std::int32_t> positions = {1, 2, 3, 4, 5};
  const auto values = normals<T>(128, 2);
  std::memcpy(static_cast<void*>(row), values.data(), 128 * sizeof(T));
  auto want = values;
  cuda::rotary<T>(x.data(), kFarStride, kTokens, 2, 64, 64, positions.data(), table.cos.data(),
                  table.sin.data(), false, false, nullptr);
  rotary<T>(want.data(), 128, 1, 2, 64, 64, positions.data() + 4, table.cos.data(),
            table.sin.data(), false, false);
  expect_near(row, want.data(), 128, "x");
}

TEST_F(FarElementsTest, Conversion) {
  constexpr std::int64_t kLast = 1000;
  FarArray<T> from(kMany);
  FarArray<float> to(kMany);
  const T* last = from.fill_end(kLast, 1);
  cuda::convert<T, float>(from.data(), to.data(), kMany, nullptr);
  for (std::int64_t i = 0; i < kLast; ++i) {
    ASSERT_EQ(to.end(kLast)[i], static_cast<float>(last[i])) << i;
  }
}

TEST_F(FarElementsTest, AdamW) {
  constexpr std::int64_t kLast = 1000;
  FarArray<float> master(kMany), gradient(kMany), mean(kMany), square(kMany);
  FarArray<T> value(kMany);
  gradient.fill_end(kLast, 1);
  master.fill_end(kLast, 2);
  const AdamWStep step{.lr = 0.1, .weight_decay = 0.1};
  std::vector<float> want(master.end(kLast), master.end(0)), want_mean(kLast), want_square(kLast);
  adamw<T, float>(want.data(), nullptr, gradient.end(kLast), want_mean.data(), want_square.data(),
                  kLast, step);
  cuda::adamw<T, float>(master.data(), value.data(), gradient.data(), mean.data(), square.data(),
                        kMany, step, nullptr);
  expect_near(master.end(kLast), want.data(), kLast, "master");
  expect_near(mean.end(kLast), want_mean.data(), kLast, "exp_avg");
}

TEST_F(FarElementsTest, Sums) {
  constexpr std::int64_t kLast = 1000;
  FarArray<T> x(kMany), y(kMany), out(kMany);
  const T* last_x = x.fill_end(kLast, 1);
  const T* last_y = y.fill_end(kLast, 2);
  FarArray<unsigned char> workspace(cuda::sum_of_squares_workspace(kMany));
  double total = 0;
  cuda::sum_of_squares<T>(x.data(), kMany, &total, workspace.data(), nullptr);
  EXPECT_NEAR(total, sum_of_squares<T>(last_x, kLast), 1e-9 * total);
  EXPECT_GT(total, 0.0);
  const T* const parts[] = {x.data(), y.data()};
  cuda::ordered_sum<T>(parts, 2, out.data(), kMany, nullptr);
  const T* const last_parts[] = {last_x, last_y};
  std::vector<T> want(kLast);
  ordered_sum<T>(last_parts, 2, want.data(), kLast);
  expect_near(out.end(kLast), want.data(), kLast, "sum");
}

TEST_F(FarElementsTest, CrossEntropy) {
  constexpr std::int64_t kN = 5;
  constexpr std::int64_t kVocab = 100;
  FarArray<T> logits(kN * kFarStride);
  T* const row = logits.end(kFarStride);
  const auto values = normals<T>(kVocab, 1);
  std::memcpy(static_cast<void*>(row), values.data(), kVocab * sizeof(T));
  const std::vector<std::int32_t> targets(kN, 7);
  std::vector<float> max(kN), sum(kN, 1.0F), target(kN), weight(kN, 1.0F);
  cuda::row_max<T>(logits.data(), kFarStride, kN, kVocab, max.data(), nullptr);
  cuda::row_sums<T>(logits.data(), kFarStride, kN, kVocab, 0, targets.data(), max.data(),
                    sum.data(), target.data(), nullptr);
  cuda::softmax_gradient<T>(logits.data(), kFarStride, kN, kVocab, 0, targets.data(), max.data(),
                            sum.data(), weight.data(), nullptr);
  auto want = values;
  float want_max = 0, want_sum = 0, want_target = 0;
  row_max<T>(want.data(), kVocab, 1, kVocab, &want_max);
  row_sums<T>(want.data(), kVocab, 1, kVocab, 0, targets.data(), &want_max, &want_sum,
              &want_target);
  softmax_gradient<T>(want.data(), kVocab, 1, kVocab, 0, targets.data(), &want_max, &want_sum,
                      weight.data());
  EXPECT_EQ(max.back(), want_max);
  EXPECT_NEAR(sum.back(), want_sum, 1e-4);
  EXPECT_NEAR(target.back(), want_target, 1e-5);
  expect_near(row, want.data(), kVocab, "gradient");
}

// Copies the first `width` elements of rows to rows of another stride.
void copy_rows(const T* from, std::int64_t from_stride, T* to, std::int64_t to_stride,
               std::int64_t rows, std::int64_t width) {
  for (std::int64_t i = 0; i < rows; ++i) {
    std::memcpy(static_cast<void*>(to + i * to_stride), from + i * from_stride, width * sizeof(T));
  }
}

// The same tokens near to each other and far apart give the same bits. On the tensor cores for 64
// channels, on the ordinary units for 40.
TEST_F(FarElementsTest, Attention) {
  cuda::emulator::only_last_block(false);
  constexpr std::int64_t kTokens = 5;
  for (const std::int64_t head_dim : {64, 40}) {
    const std::int64_t width = 3 * head_dim;
    AttentionShape near{.tokens = kTokens,
                        .heads = 1,
                        .kv_heads = 1,
                        .head_dim = head_dim,
                        .q_stride = width,
                        .kv_stride = width,
                        .out_stride = head_dim,
                        .scale = 0.1};
    AttentionShape far = near;
    far.q_stride = far.kv_stride = far.out_stride = kFarStride;
    auto qkv = normals<T>(kTokens * width, 1);
    auto dout = normals<T>(kTokens * head_dim, 2);
    const std::vector<std::int32_t> lo(kTokens, 0), hi(kTokens, kTokens);
    const auto run = [&](const AttentionShape& shape, const T* q, const T* gradient, T* out, T* dq,
                         std::vector<float>& lse) {
      FarArray<unsigned char> workspace(cuda::attention_backward_workspace<T>(shape));
      cuda::attention_forward<T>(shape, q, q + head_dim, q + 2 * head_dim, lo.data(), hi.data(),
                                 nullptr, out, lse.data(), nullptr);
      cuda::attention_backward<T>(shape, gradient, q, q + head_dim, q + 2 * head_dim, out,
                                  lse.data(), lo.data(), hi.data(), nullptr, dq, dq + head_dim,
                                  dq + 2 * head_dim, workspace.data(), nullptr);
    };
    std::vector<T> out(kTokens * head_dim), dqkv(kTokens * width);
    std::vector<float> lse(kTokens), far_lse(kTokens);
    FarArray<T> far_qkv(kTokens * kFarStride), far_dout(kTokens * kFarStride);
    FarArray<T> far_out(kTokens * kFarStride), far_dqkv(kTokens * kFarStride);
    copy_rows(qkv.data(), width, far_qkv.data(), kFarStride, kTokens, width);
    copy_rows(dout.data(), head_dim, far_dout.data(), kFarStride, kTokens, head_dim);
    // The near arrays of the same alignment.
    FarArray<T> near_qkv(kTokens * width), near_dout(kTokens * head_dim);
    copy_rows(qkv.data(), width, near_qkv.data(), width, kTokens, width);
    copy_rows(dout.data(), head_dim, near_dout.data(), head_dim, kTokens, head_dim);
    FarArray<T> near_out(kTokens * head_dim), near_dqkv(kTokens * width);
    run(near, near_qkv.data(), near_dout.data(), near_out.data(), near_dqkv.data(), lse);
    run(far, far_qkv.data(), far_dout.data(), far_out.data(), far_dqkv.data(), far_lse);
    copy_rows(far_out.data(), kFarStride, out.data(), head_dim, kTokens, head_dim);
    copy_rows(far_dqkv.data(), kFarStride, dqkv.data(), width, kTokens, width);
    EXPECT_EQ(lse, far_lse);
    EXPECT_EQ(std::memcmp(out.data(), near_out.data(), out.size() * sizeof(T)), 0);
    EXPECT_EQ(std::memcmp(dqkv.data(), near_dqkv.data(), dqkv.size() * sizeof(T)), 0);
    EXPECT_NE(to_double(out.back()), 0.0);
  }
}

}  // namespace
}  // namespace cloze
