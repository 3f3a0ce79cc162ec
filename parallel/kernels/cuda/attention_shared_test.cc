// What a GPU's shared memory decides for attention's backward pass. That the kernels are right for
// the least of it show the checks of cuda_kernels_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/emulator.h"
#include "parallel/kernels/cuda/shared_memory.h"
#include "parallel/kernels/test_values.h"
#include "tests/device/device_memory.h"

namespace cloze {
namespace {

constexpr std::size_t kSharedOfEight = std::size_t{163} * 1024;  // Compute capability 8.0.

// The gradients of q, k and v, of causal rows of which some see no more than the last 70 keys.
template <class T>
std::vector<T> gradients(std::int64_t head_dim, std::size_t shared_of_gpu) {
  using A = Accumulator<T>;
  const AttentionShape shape{.tokens = 150,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_dim = head_dim,
                             .q_stride = 4 * head_dim,
                             .kv_stride = 4 * head_dim,
                             .out_stride = 2 * head_dim,
                             .scale = 0.09};
  std::vector<std::int32_t> lo, hi;
  for (std::int32_t t = 0; t < shape.tokens; ++t) {
    lo.push_back(t < 100 ? 0 : t - 70);
    hi.push_back(t + 1);
  }
  DeviceArray<T> qkv(normals<T>(shape.tokens * shape.q_stride, 1));
  DeviceArray<T> dout(normals<T>(shape.tokens * shape.out_stride, 2));
  DeviceArray<T> out(poisoned<T>(shape.tokens * shape.out_stride));
  DeviceArray<T> dqkv(poisoned<T>(shape.tokens * shape.q_stride));
  DeviceArray<A> lse(poisoned<A>(shape.heads * shape.tokens));
  auto workspace = device_workspace(cuda::attention_backward_workspace<T>(shape));
  const std::int64_t k = 2 * head_dim;
  const std::int64_t v = 3 * head_dim;
  cuda::emulator::set_shared_of_gpu(shared_of_gpu);
  cuda::attention_forward<T>(shape, qkv.data(), qkv.data() + k, qkv.data() + v, lo.data(),
                             hi.data(), nullptr, out.data(), lse.data(), nullptr);
  cuda::attention_backward<T>(shape, dout.data(), qkv.data(), qkv.data() + k, qkv.data() + v,
                              out.data(), lse.data(), lo.data(), hi.data(), nullptr, dqkv.data(),
                              dqkv.data() + k, dqkv.data() + v, workspace.data(), nullptr);
  cuda::emulator::set_shared_of_gpu(cuda::kSharedOfEveryGpu);
  return dqkv.read();
}

// The last kernel is the one for the gradients of the queries.
template <class T>
void expect_more_is_used_for_the_same_bits(std::int64_t head_dim) {
  const std::vector<T> least = gradients<T>(head_dim, cuda::kSharedOfEveryGpu);
  const std::size_t bytes = cuda::emulator::shared_of_last_launch();
  const std::vector<T> most = gradients<T>(head_dim, kSharedOfEight);
  EXPECT_GT(cuda::emulator::shared_of_last_launch(), cuda::kSharedOfEveryGpu);
  EXPECT_LE(bytes, cuda::kSharedOfEveryGpu);
  EXPECT_TRUE(same_bits(least, most));
  for (const T value : least) ASSERT_FALSE(std::isnan(to_double(value)));
}

// On the tensor cores: twice as many keys.
TEST(AttentionSharedMemoryTest, MoreIsUsedForMoreKeysAndGivesTheSameBits) {
  expect_more_is_used_for_the_same_bits<BFloat16>(128);
}

// On the ordinary units: no tile of rows takes turns with another.
TEST(AttentionSharedMemoryTest, MoreIsUsedForMoreTilesAndGivesTheSameBits) {
  expect_more_is_used_for_the_same_bits<float>(64);
  expect_more_is_used_for_the_same_bits<float>(256);
  expect_more_is_used_for_the_same_bits<double>(128);
  expect_more_is_used_for_the_same_bits<BFloat16>(48);
}

}  // namespace
}  // namespace cloze
