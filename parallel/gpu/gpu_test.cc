#include "parallel/gpu/gpu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>

#include "parallel/base/check.h"
#include "parallel/gpu/flash_attention.h"
#include "parallel/gpu/libraries.h"
#include "parallel/kernels/cuda/library.h"

namespace cloze {
namespace {

TEST(GpuTest, WithoutOneItIsAnErrorOfUseThatSaysWhatToDo) {
  if (std::filesystem::exists("/proc/driver/nvidia/version")) GTEST_SKIP() << "there is a driver";
  try {
    const Gpu gpu(*gpu_vendor_of("cuda"), 0);
    FAIL() << "there is a GPU";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.fix().find("--device cpu"), std::string::npos) << error.what();
  }
}

TEST(GpuVendorTest, EachHasANameOfItsOwnAndTheCpuIsNone) {
  EXPECT_EQ(gpu_vendor_of("cpu"), nullptr);
  for (const GpuVendor& vendor : gpu_vendors()) {
    EXPECT_EQ(gpu_vendor_of(vendor.device), &vendor);
    EXPECT_NE(vendor.open_runtime, nullptr);
  }
  EXPECT_THROW(gpu_vendor_of("tpu"), Error);
}

// The library that the build makes where nvcc is: it opens without a GPU, and every table is full.
TEST(KernelLibraryTest, IsOfThisBuildAndHasEveryKernel) {
  GpuVendor vendor = *gpu_vendor_of("cuda");
  const std::filesystem::path library =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / vendor.kernel_library;
  if (!std::filesystem::exists(library)) GTEST_SKIP() << library << " is not built";
  vendor.kernel_library = library.string();
  const SharedLibrary opened = open_kernel_library(vendor);
  decltype(&cloze_gpu_kernels) kernels = nullptr;
  opened.load(kernels, "cloze_gpu_kernels");
  const cuda::GpuHost host{};
  const Kernels& found = *kernels(&host);
  const auto count_empty = [](const auto& table) {
    // A table is pointers to functions and nothing else.
    std::array<void*, sizeof(table) / sizeof(void*)> pointers{};
    std::memcpy(pointers.data(), &table, sizeof(table));
    return std::ranges::count(pointers, nullptr);
  };
  EXPECT_EQ(count_empty(found.f64), 0);
  EXPECT_EQ(count_empty(found.f32), 0);
  EXPECT_EQ(count_empty(found.bf16), 0);
  EXPECT_EQ(count_empty(found.f16), 0);
  EXPECT_EQ(count_empty(found.i64), 0);
  EXPECT_EQ(count_empty(found.i32), 0);
  EXPECT_EQ(count_empty(found.u8), 0);
  EXPECT_NE(found.attention_backward_workspace, nullptr);
}

TEST(StreamScopeTest, TheInnermostOneCounts) {
  CudaStream const outer = reinterpret_cast<CudaStream>(std::uintptr_t{16});
  CudaStream const inner = reinterpret_cast<CudaStream>(std::uintptr_t{32});
  const StreamScope first(outer);
  EXPECT_EQ(compute_stream(), outer);
  {
    const StreamScope second(inner);
    EXPECT_EQ(compute_stream(), inner);
    const StreamScope default_stream(nullptr);
    EXPECT_EQ(compute_stream(), nullptr);
  }
  EXPECT_EQ(compute_stream(), outer);
}

// What LibTorch's attention does not do, the kernels that were given do: no samples, dropout, a
// cache, heads of other widths, other types.
TEST(FlashAttentionTest, LeavesOtherCallsToTheKernelsThatItWasGiven) {
  constexpr std::int64_t kTokens = 5;
  constexpr std::int64_t kChannels = 8;
  static int calls = 0;
  Kernels own = cpu_kernels();
  own.bf16.attention_forward = [](const AttentionShape&, const BFloat16*, const BFloat16*,
                                  const BFloat16*, const std::int32_t*, const std::int32_t*,
                                  const AttentionDropout*, BFloat16*, float*) { ++calls; };
  const Kernels kernels = with_flash_attention(own, at::kCPU, /*multiprocessors=*/132);
  EXPECT_EQ(kernels.f32.attention_forward, own.f32.attention_forward);
  EXPECT_EQ(kernels.f64.attention_backward, own.f64.attention_backward);
  EXPECT_NE(kernels.bf16.attention_forward, own.bf16.attention_forward);

  const AttentionSamples samples;
  const AttentionDropout dropout;
  const AttentionShape plain{.tokens = kTokens,
                             .heads = 1,
                             .kv_heads = 1,
                             .head_dim = kChannels,
                             .q_stride = kChannels,
                             .kv_stride = kChannels,
                             .out_stride = kChannels};
  const auto call = [&](const AttentionShape& shape, const AttentionDropout* dropped) {
    const int before = calls;
    kernels.bf16.attention_forward(shape, nullptr, nullptr, nullptr, nullptr, nullptr, dropped,
                                   nullptr, nullptr);
    return calls - before;
  };
  EXPECT_EQ(call(plain, nullptr), 1) << "no samples";
  AttentionShape with_samples = plain;
  with_samples.samples = &samples;
  EXPECT_EQ(call(with_samples, &dropout), 1) << "dropout";
  AttentionShape cached = with_samples;
  cached.kv_tokens = 9;
  EXPECT_EQ(call(cached, nullptr), 1) << "a cache";
  AttentionShape odd = with_samples;
  odd.head_dim = 12;
  EXPECT_EQ(call(odd, nullptr), 1) << "heads of 12 channels";
  AttentionShape wide = with_samples;
  wide.head_dim = 264;
  EXPECT_EQ(call(wide, nullptr), 1) << "heads of 264 channels";
}

// What its calls hold, beside numbers worked out by hand from the shapes that LibTorch allocates.
TEST(FlashAttentionTest, SaysWhatMemoryItsCallsHold) {
  Kernels own = cpu_kernels();
  own.bf16.scratch.attention_backward = [](const AttentionShape&, bool) { return std::int64_t{7}; };
  const KernelScratch scratch = with_flash_attention(own, at::kCPU, 132).bf16.scratch;
  AttentionSamples samples{.count = 2, .longest = 1024};
  const AttentionShape shape{
      .tokens = 2048, .heads = 32, .kv_heads = 2, .head_dim = 128, .samples = &samples};
  const std::int64_t queries = std::int64_t{2048} * 32 * 128 * 2;
  const std::int64_t keys = std::int64_t{2048} * 2 * 128 * 2;
  EXPECT_EQ(scratch.attention_forward(shape, false), queries + 2048 * 32 * 4);
  // 64 blocks of work for 132 multiprocessors: three splits. Keys' gradients for each query head.
  const std::int64_t padded = 2048 + 2 * 128;
  EXPECT_EQ(scratch.attention_backward(shape, false),
            queries + 2 * keys + padded * 32 * 4 + 3 * padded * 32 * 128 * 4 + 2 * queries);
  EXPECT_EQ(scratch.attention_backward(shape, /*drops=*/true), 7);
  // A prefix of half of the tokens: its keys are selected, and the suffixes' gradients wait.
  samples.prefixes = 2;
  samples.prefix_tokens = 1024;
  EXPECT_GT(scratch.attention_backward(shape, false), 2 * queries);
}

}  // namespace
}  // namespace cloze
