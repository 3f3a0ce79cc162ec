#include "parallel/pass/caching_allocator.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace cloze {
namespace {

TEST(CachingAllocatorTest, AFreedBlockServesTheNextTensorOfItsSize) {
  const CachingAllocator allocator;
  const void* first = at::empty({1000, 1000}).data_ptr();
  EXPECT_EQ(at::empty({1000, 1000}).data_ptr(), first);
  EXPECT_EQ(allocator.statistics().system_requests, 1);
}

TEST(CachingAllocatorTest, LoopsAskTheSystemOnlyOnce) {
  const CachingAllocator allocator;
  const auto step = [] {
    const at::Tensor x = at::ones({128, 64});
    return at::mm(x, x.t()).sum().item<double>();
  };
  const double expected = step();
  const std::int64_t after_first = allocator.statistics().system_requests;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(step(), expected);
  EXPECT_EQ(allocator.statistics().system_requests, after_first);
  EXPECT_EQ(allocator.statistics().bytes_in_use, 0);
}

TEST(CachingAllocatorTest, ATensorMayOutliveIt) {
  at::Tensor survivor;
  {
    const CachingAllocator allocator;
    survivor = at::full({100}, 3.0);
  }
  EXPECT_EQ(survivor.sum().item<double>(), 300);
}

TEST(CachingAllocatorTest, CountsItsPeakAndGivesBackOnTrim) {
  CachingAllocator allocator;
  { const at::Tensor large = at::empty({1 << 20}); }
  const std::int64_t block = (4 << 20) + (64 << 10);  // A header stands before the payload.
  EXPECT_EQ(allocator.statistics().peak_bytes_in_use, block);
  EXPECT_EQ(allocator.statistics().bytes_cached, block);
  allocator.trim();
  EXPECT_EQ(allocator.statistics().bytes_cached, 0);
}

TEST(CachingAllocatorTest, ServesRawRequests) {
  const CachingAllocator allocator;
  c10::Allocator* raw = c10::GetCPUAllocator();
  void* first = raw->raw_allocate(1000);
  raw->raw_deallocate(first);
  EXPECT_EQ(raw->raw_allocate(1000), first);
  raw->raw_deallocate(first);
  EXPECT_EQ(allocator.statistics().bytes_in_use, 0);
}

TEST(CachingAllocatorTest, ServesSixteenBitProducts) {
  const CachingAllocator allocator;
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor x = at::ones({64, 32}, type);
    EXPECT_EQ(at::mm(x, x.t()).to(at::kFloat).sum().item<double>(), 64 * 64 * 32);
  }
}

TEST(CachingAllocatorTest, ServesThreadsAtOnce) {
  const CachingAllocator allocator;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([thread] {
      for (int i = 0; i < 200; ++i) {
        const at::Tensor x = at::full({1 + i * 7}, thread, at::kFloat);
        EXPECT_EQ(x.sum().item<double>(), thread * (1.0 + i * 7));
      }
    });
  }
}

TEST(CachingAllocatorTest, SizesAreRoundedUp) {
  EXPECT_EQ(rounded_block_size(0), 512U);
  EXPECT_EQ(rounded_block_size(513), 1024U);
  EXPECT_EQ(rounded_block_size((1 << 20) + 1), (1U << 20) + (64U << 10));
  EXPECT_EQ(rounded_block_size((16 << 20) + 1), 18U << 20);
}

TEST(CachingAllocatorTest, TheOneThatLivesIsFound) {
  EXPECT_EQ(allocator_statistics().system_requests, 0);
  {
    const CachingAllocator allocator;
    const at::Tensor tensor = at::empty({1000});
    EXPECT_EQ(allocator_statistics().system_requests, 1);
  }
  EXPECT_EQ(allocator_statistics().system_requests, 0);
}

TEST(CachingAllocatorTest, EmptyTensorsNeedNoMemory) {
  const CachingAllocator allocator;
  EXPECT_EQ(at::empty({0, 5}).numel(), 0);
  EXPECT_EQ(allocator.statistics().system_requests, 0);
}

}  // namespace
}  // namespace cloze
