// Copies between host and device on streams of their own: what computes waits for what is brought,
// what is fetched waits for what computes, on every order that a device may choose.
#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/pass/device_reader.h"
#include "parallel/pass/device_writer.h"
#include "tests/support/simulated_accelerator.h"
#include "trainer/loop/staged_rows.h"
#include "trainer/model/microbatch.h"

namespace cloze {
namespace {

constexpr std::uint64_t kSeeds = 40;
constexpr std::int64_t kBytes = 1000;

// Calls body(seed) for devices that do everything as late as they may, and for those that do some
// of it earlier.
void on_devices(const std::function<void(std::uint64_t seed)>& body) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    set_accelerator_options({.seed = seed, .early = seed == 0 ? 0 : 0.4});
    body(seed);
  }
}

at::Tensor staged(std::int64_t value) {
  at::Tensor host = DeviceWriter::staging(kBytes);
  host.fill_(value);
  return host;
}

// A stream that computes late, as those of GPUs do; the simulated device's default one does not.
c10::Stream late_stream() {
  const at::Device device = simulated_accelerator();
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device, false);
}

bool holds(const at::Tensor& tensor, std::int64_t value) {
  return tensor.cpu().eq(value).all().item<bool>();
}

at::Tensor device_bytes(std::int64_t bytes) {
  return at::empty({bytes}, at::TensorOptions(simulated_accelerator()).dtype(at::kByte));
}

TEST(DeviceWriterTest, WhatIsQueuedNextFindsTheBytes) {
  on_devices([](std::uint64_t seed) {
    const DeviceWriter writer(simulated_accelerator());
    const at::Tensor first = writer.bring(staged(1));
    const at::Tensor second = writer.bring(staged(2));
    EXPECT_TRUE(holds(first, 1)) << seed;
    EXPECT_TRUE(holds(second, 2)) << seed;
  });
}

// Computing is behind the host: it reads what was brought after the host has let go of it, and
// after the host has brought more.
TEST(DeviceWriterTest, MemoryIsNotUsedAgainBeforeComputingIsDoneWithIt) {
  on_devices([](std::uint64_t seed) {
    const DeviceWriter writer(simulated_accelerator());
    std::vector<at::Tensor> results;
    {
      const c10::StreamGuard computing(late_stream());
      for (std::int64_t value = 1; value <= 8; ++value) {
        const at::Tensor brought = writer.bring(staged(value));
        results.push_back(device_bytes(kBytes));
        results.back().copy_(brought, /*non_blocking=*/true);
      }
    }
    c10::impl::VirtualGuardImpl(simulated_accelerator().type())
        .synchronizeDevice(simulated_accelerator().index());
    for (std::int64_t value = 1; value <= 8; ++value) {
      EXPECT_TRUE(holds(results[static_cast<std::size_t>(value) - 1], value)) << seed;
    }
  });
}

TEST(DeviceWriterTest, OverwritesAfterWhatWasQueuedAndBeforeWhatComesNext) {
  on_devices([](std::uint64_t seed) {
    const DeviceWriter writer(simulated_accelerator());
    const at::Tensor out = device_bytes(2 * kBytes);
    at::Tensor before = device_bytes(2 * kBytes);
    at::Tensor after = device_bytes(2 * kBytes);
    {
      const c10::StreamGuard computing(late_stream());
      out.copy_(at::full({2 * kBytes}, 7, at::kByte).to(simulated_accelerator()), true);
      before.copy_(out, true);
      writer.write(staged(1), out.narrow(0, 0, kBytes));
      writer.write(staged(2), out.narrow(0, kBytes, kBytes));
      after.copy_(out, true);
    }
    c10::impl::VirtualGuardImpl(simulated_accelerator().type())
        .synchronizeDevice(simulated_accelerator().index());
    EXPECT_TRUE(holds(before, 7)) << seed;
    EXPECT_TRUE(holds(after.narrow(0, 0, kBytes), 1)) << seed;
    EXPECT_TRUE(holds(after.narrow(0, kBytes, kBytes), 2)) << seed;
  });
}

TEST(DeviceReaderTest, ReadsWhatWasComputedBeforeTheFirstReadOfATensor) {
  on_devices([](std::uint64_t seed) {
    constexpr std::int64_t kChunk = 256;
    DeviceReader reader(simulated_accelerator(), kChunk);
    const c10::StreamGuard computing(late_stream());
    for (std::int64_t value = 1; value <= 3; ++value) {
      const at::Tensor tensor = device_bytes(kBytes);
      tensor.copy_(staged(value).to(simulated_accelerator(), true), true);
      std::vector<std::byte> bytes(kBytes);
      for (std::int64_t first = 0; first < kBytes; first += kChunk) {
        const auto count = static_cast<std::size_t>(std::min(kChunk, kBytes - first));
        reader.read(tensor, first, std::span(bytes).subspan(first, count));
      }
      EXPECT_EQ(bytes, std::vector<std::byte>(kBytes, static_cast<std::byte>(value))) << seed;
    }
  });
}

Batch made_batch() {
  constexpr std::size_t kTokens = 64;
  Batch batch;
  batch.rows = 2;
  batch.seq_length = 32;
  batch.ordinals = {std::int64_t{1} << 40, 7};
  for (std::size_t token = 0; token < kTokens; ++token) {
    const auto number = static_cast<std::int32_t>(token);
    batch.tokens.push_back(100 + number);
    batch.targets.push_back(200 + number);
    batch.loss_mask.push_back(token % 3 == 0 ? 1 : 0);
    batch.rotary_position.push_back(number % 32);
    batch.lo.push_back(number / 32 * 32);
    batch.hi.push_back(number + 1);
  }
  return batch;
}

// A batch's arrays on the device, as many as they are in one copy, and every number in its place.
TEST(DeviceWriterTest, AMicrobatchIsOneCopyOnAnotherStream) {
  on_devices([](std::uint64_t seed) {
    const DeviceWriter writer(simulated_accelerator());
    const Batch batch = made_batch();
    const Microbatch in_place(batch);
    const std::int64_t before = num_copies_on_other_streams();
    const Microbatch brought(batch, &writer);
    EXPECT_EQ(num_copies_on_other_streams(), before + 1);
    const auto same = [&](const auto* a, const auto* b) {
      return std::equal(a, a + batch.num_tokens(), b);
    };
    EXPECT_NE(brought.arrays().tokens, batch.tokens.data());
    EXPECT_TRUE(same(brought.arrays().tokens, in_place.arrays().tokens)) << seed;
    EXPECT_TRUE(same(brought.arrays().lo, in_place.arrays().lo)) << seed;
    EXPECT_TRUE(same(brought.arrays().ordinals, in_place.arrays().ordinals)) << seed;
    EXPECT_EQ(brought.arrays().position, nullptr);
    ASSERT_EQ(brought.targets().count, in_place.targets().count);
    EXPECT_TRUE(at::equal(brought.targets().tokens.cpu(), in_place.targets().tokens)) << seed;
    EXPECT_TRUE(std::equal(brought.targets().ids, brought.targets().ids + brought.targets().count,
                           in_place.targets().ids))
        << seed;
    ASSERT_NE(brought.samples(), nullptr);
    EXPECT_EQ(brought.samples()->count, 2);
  });
}

// Rows of a matrix whose elements say where they are.
struct CountedRows final : WeightSource {
  bool has(std::string_view) const override { return true; }
  Shape shape(std::string_view) const override { return {40, 3}; }
  DType dtype(std::string_view) const override { return DType::kF32; }
  void read(const std::string&, const Box& box, DType, void* out) const override {
    auto* to = static_cast<float*>(out);
    largest = std::max(largest, box.elements() * 4);
    for (std::int64_t row = 0; row < box.shape[0]; ++row) {
      for (std::int64_t column = 0; column < box.shape[1]; ++column) {
        *to++ = static_cast<float>((box.offset[0] + row) * 3 + box.offset[1] + column);
      }
    }
  }
  mutable std::int64_t largest = 0;  // Bytes of one read.
};

TEST(StagedRowsTest, FillsMemoryOfADeviceSomeRowsAtATime) {
  on_devices([](std::uint64_t seed) {
    const DeviceWriter writer(simulated_accelerator());
    const CountedRows source;
    // Rows 5 to 35 of the whole, read as rows 2 to 29 of those.
    const Box box = Box::cut({40, 3}, 0, 5, 30).rows(2, 27);
    const at::Tensor elements =
        at::empty({27 * 3}, at::TensorOptions(simulated_accelerator()).dtype(at::kFloat));
    for (const std::int64_t staged_bytes : {1, 12, 50, 1 << 20}) {
      elements.fill_(-1);
      source.largest = 0;
      read_staged(source, "matrix", box, elements, writer, staged_bytes);
      EXPECT_TRUE(at::equal(elements.cpu(), at::arange(21, 21 + 27 * 3, at::kFloat)))
          << seed << ", " << staged_bytes;
      EXPECT_LE(source.largest, std::max<std::int64_t>(12, staged_bytes));
    }
  });
}

}  // namespace
}  // namespace cloze
