// The emulator finds planted faults, and runs what has none.
#include "parallel/kernels/cuda/emulator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "parallel/kernels/cuda/element.h"
#include "parallel/kernels/cuda/reduce.h"
#include "parallel/kernels/cuda/shared_memory.h"

namespace cloze::cuda {
namespace {

constexpr unsigned kThreads = 64;

enum class Fault : std::uint8_t { kNone, kBefore, kAfter };

// out [2]: sums of in [2, 64], added through shared memory by every thread; a fault leaves out the
// barrier before or after the sum.
void sum_twice(const float* in, float* out, Fault fault) {
  CLOZE_SHARED_ARRAY(float, values, kThreads);
  for (int round = 0; round < 2; ++round) {
    values[threadIdx.x] = in[round * kThreads + threadIdx.x];
    if (fault != Fault::kBefore) __syncthreads();
    float sum = 0.0F;
    for (unsigned i = 0; i < kThreads; ++i) sum += values[i];
    if (threadIdx.x % 32 == 5) out[round * 2 + threadIdx.x / 32] = sum;
    if (fault != Fault::kAfter) __syncthreads();
  }
}

// How many of ten orders of threads give a wrong sum.
int orders_with_wrong_sums(Fault fault) {
  std::vector<float> in(2 * kThreads, 1.0F);
  for (unsigned i = kThreads; i < 2 * kThreads; ++i) in[i] = 2.0F;
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    emulator::set_seed(seed);
    std::vector<float> out(4);
    emulator::run(dim3(1), dim3(kThreads), 0, &sum_twice, in.data(), out.data(), fault);
    wrong += out != std::vector<float>{64.0F, 64.0F, 128.0F, 128.0F} ? 1 : 0;
  }
  return wrong;
}

TEST(EmulatorTest, MissingBarriersGiveWrongResults) {
  EXPECT_EQ(orders_with_wrong_sums(Fault::kNone), 0);
  EXPECT_GE(orders_with_wrong_sums(Fault::kBefore), 9);
  EXPECT_GE(orders_with_wrong_sums(Fault::kAfter), 5);
}

TEST(EmulatorTest, SharedMemoryOfABlockIsNotThatOfTheLast) {
  std::vector<float> seen(3);
  const auto kernel = [](float* out) {
    CLOZE_SHARED_ARRAY(float, values, kThreads);
    CLOZE_DYNAMIC_SHARED(bytes);
    float* const more = reinterpret_cast<float*>(bytes);
    if (threadIdx.x == 0) out[blockIdx.x] = values[3] + more[3];
    __syncthreads();
    values[threadIdx.x] = 1.0F;
    more[threadIdx.x] = 1.0F;
  };
  emulator::run(dim3(3), dim3(kThreads), kThreads * sizeof(float), kernel, seen.data());
  for (const float value : seen) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatorTest, ACopyIsNotDoneBeforeItIsWaitedFor) {
  alignas(16) const float source[4] = {1.0F, 2.0F, 3.0F, 4.0F};
  std::vector<float> seen(2);
  const auto kernel = [](const float* from, float* out) {
    CLOZE_SHARED_ARRAY(float, values, 4);
    if (threadIdx.x != 0) return;
    emulator::start_copy(values, from);
    out[0] = values[2];
    emulator::wait_copies();
    out[1] = values[2];
  };
  emulator::run(dim3(1), dim3(32), 0, kernel, &source[0], seen.data());
  EXPECT_TRUE(std::isnan(seen[0]));
  EXPECT_EQ(seen[1], 3.0F);
}

TEST(EmulatorTest, AGpuMayHaveMoreSharedMemory) {
  constexpr std::size_t kBytes = std::size_t{163} * 1024;
  emulator::set_shared_of_gpu(kBytes);
  EXPECT_EQ(shared_of_gpu(), kBytes);
  emulator::run(dim3(1), dim3(32), kBytes, [] {});
  emulator::set_shared_of_gpu(kSharedOfEveryGpu);
}

TEST(EmulatorTest, OnlyTheLastBlockRuns) {
  std::vector<int> seen(12);
  const auto kernel = [](int* out) { out[blockIdx.y * gridDim.x + blockIdx.x] = 1; };
  emulator::only_last_block(true);
  emulator::run(dim3(4, 3), dim3(32), 0, kernel, seen.data());
  emulator::only_last_block(false);
  std::vector<int> expected(12);
  expected.back() = 1;
  EXPECT_EQ(seen, expected);
}

// Death tests: what is wrong stops the program.
void run_threads(const std::function<void()>& thread) {
  emulator::set_seed(1);
  emulator::launch(dim3(1), dim3(kThreads), 0, thread);
}

TEST(EmulatorDeathTest, ALaneThatMissesAShuffle) {
  EXPECT_DEATH(run_threads([] {
                 if (threadIdx.x % 32 < 20) __shfl_xor_sync(kAllLanes, 1.0F, 1);
               }),
               "threads wait for others that ended or diverged");
}

TEST(EmulatorDeathTest, AWarpThatMissesABarrier) {
  EXPECT_DEATH(run_threads([] {
                 if (threadIdx.x < 32) __syncthreads();
               }),
               "threads wait for others that ended or diverged");
}

TEST(EmulatorDeathTest, AShuffleWhereOthersWaitAtABarrier) {
  EXPECT_DEATH(run_threads([] {
                 if (threadIdx.x != 40) __shfl_sync(kAllLanes, 1, 0);
                 __syncthreads();
               }),
               "threads wait for others that ended or diverged");
}

TEST(EmulatorDeathTest, TwoBarriersInBranches) {
  EXPECT_DEATH(run_threads([] {
                 if (threadIdx.x < 32) {
                   __syncthreads();
                 } else {
                   __syncthreads();
                 }
               }),
               "threads wait at two barriers of the block");
}

TEST(EmulatorDeathTest, AnAccessThatIsNotAligned) {
  alignas(16) const float values[8] = {};
  EXPECT_DEATH(run_threads([&] { load<4>(values + 1); }), "");
}

TEST(EmulatorDeathTest, ACopyThatNobodyWaitsFor) {
  EXPECT_DEATH(run_threads([] {
                 CLOZE_SHARED_ARRAY(float, values, 4);
                 emulator::start_copy(values, nullptr);
               }),
               "did not wait for its copies");
}

TEST(EmulatorDeathTest, LaunchesThatNoGpuTakes) {
  const std::function<void()> nothing = [] {};
  EXPECT_DEATH(emulator::launch(dim3(1), dim3(48), 0, nothing), "whole warps");
  EXPECT_DEATH(emulator::launch(dim3(1, 65536), dim3(32), 0, nothing), "beyond a GPU's limits");
  EXPECT_DEATH(emulator::launch(dim3(0), dim3(32), 0, nothing), "beyond a GPU's limits");
  EXPECT_DEATH(emulator::launch(dim3(1), dim3(32), kSharedOfEveryGpu + 1, nothing),
               "more shared memory");
}

}  // namespace
}  // namespace cloze::cuda
