// What a GPU's shared memory decides for attention on the tensor cores. That the kernels are right
// for the least of it show the checks of cuda_kernels_test.cc.
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
std::vector<BFloat16> gradients(std::size_t shared_of_gpu) {
  constexpr AttentionShape kShape{.tokens = 150,
                                  .heads = 2,
                                  .kv_heads = 1,
                                  .head_dim = 128,
                                  .q_stride = 512,
                                  .kv_stride = 512,
                                  .out_stride = 256,
                                  .scale = 0.09};
  std::vector<std::int32_t> lo, hi;
  for (std::int32_t t = 0; t < kShape.tokens; ++t) {
    lo.push_back(t < 100 ? 0 : t - 70);
    hi.push_back(t + 1);
  }
  DeviceArray<BFloat16> qkv(normals<BFloat16>(kShape.tokens * kShape.q_stride, 1));
  DeviceArray<BFloat16> dout(normals<BFloat16>(kShape.tokens * kShape.out_stride, 2));
  DeviceArray<BFloat16> out(poisoned<BFloat16>(kShape.tokens * kShape.out_stride));
  DeviceArray<BFloat16> dqkv(poisoned<BFloat16>(kShape.tokens * kShape.q_stride));
  DeviceArray<float> lse(poisoned<float>(kShape.heads * kShape.tokens));
  auto workspace = device_workspace(cuda::attention_backward_workspace<BFloat16>(kShape));
  cuda::emulator::set_shared_of_gpu(shared_of_gpu);
  cuda::attention_forward<BFloat16>(kShape, qkv.data(), qkv.data() + 256, qkv.data() + 384,
                                    lo.data(), hi.data(), nullptr, out.data(), lse.data(), nullptr);
  cuda::attention_backward<BFloat16>(kShape, dout.data(), qkv.data(), qkv.data() + 256,
                                     qkv.data() + 384, out.data(), lse.data(), lo.data(), hi.data(),
                                     nullptr, dqkv.data(), dqkv.data() + 256, dqkv.data() + 384,
                                     workspace.data(), nullptr);
  cuda::emulator::set_shared_of_gpu(cuda::kSharedOfEveryGpu);
  return dqkv.read();
}

// The kernel for the gradients of the queries, which is the last, takes twice as many keys.
TEST(AttentionTensorTest, MoreSharedMemoryIsUsedAndGivesTheSameBits) {
  const std::vector<BFloat16> least = gradients(cuda::kSharedOfEveryGpu);
  const std::size_t bytes = cuda::emulator::shared_of_last_launch();
  const std::vector<BFloat16> most = gradients(kSharedOfEight);
  EXPECT_GT(cuda::emulator::shared_of_last_launch(), cuda::kSharedOfEveryGpu);
  EXPECT_LE(bytes, cuda::kSharedOfEveryGpu);
  EXPECT_TRUE(same_bits(least, most));
  for (const BFloat16 value : least) ASSERT_FALSE(std::isnan(to_double(value)));
}

}  // namespace
}  // namespace cloze
