// Memory of the simulated accelerator, and of the host that its copies read late.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "tests/support/simulated_accelerator_state.h"

namespace cloze {

using simulated::Accelerator;
using simulated::Action;
using simulated::Block;
using simulated::current_stream;
using simulated::Place;

namespace {

constexpr std::size_t kBlock = 512;
constexpr int kPattern = 0xa5;  // As a float -2.87e-16, as a token id far outside of any table.

// Of the thread that asks.
AcceleratorMemory& account() {
  thread_local AcceleratorMemory* const of_thread = &Accelerator::one().accounts.emplace_back();
  return *of_thread;
}

void give_back(void* memory) {
  Accelerator& accelerator = Accelerator::one();
  const std::scoped_lock lock(accelerator.mutex);
  const auto found = accelerator.blocks.find(memory);
  const Block block = std::move(found->second);
  accelerator.blocks.erase(found);
  block.account->in_use -= static_cast<std::int64_t>(block.bytes);
  std::vector<Place> uses;
  for (const std::size_t user : block.users) uses.push_back(accelerator.streams.end_of(user));
  const Action reuse = [memory, uses, bytes = block.bytes, stream = block.stream] {
    for (const Place& use : uses) Accelerator::one().streams.finish(use);
    std::memset(memory, kPattern, bytes);
    Accelerator::one().pool[{stream, bytes}].push_back(memory);
  };
  accelerator.streams.give(block.stream, reuse);
}

class DeviceAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, simulated_accelerator()};
    Accelerator& accelerator = Accelerator::one();
    const std::scoped_lock lock(accelerator.mutex);
    const Block block{.bytes = (bytes + kBlock - 1) / kBlock * kBlock,
                      .stream = current_stream(),
                      .account = &account()};
    std::vector<void*>& free = accelerator.pool[{block.stream, block.bytes}];
    void* memory = nullptr;
    if (free.empty()) {
      memory = std::aligned_alloc(kBlock, block.bytes);
      std::memset(memory, kPattern, block.bytes);
    } else {
      memory = free.back();
      free.pop_back();
    }
    accelerator.blocks[memory] = block;
    block.account->in_use += static_cast<std::int64_t>(block.bytes);
    block.account->peak = std::max(block.account->peak, block.account->in_use);
    return {memory, memory, &give_back, simulated_accelerator()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

// Memory of the host that copies may read and write late. A copy holds its tensor.
class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const std::size_t rounded = std::max<std::size_t>(1, (bytes + kBlock - 1) / kBlock) * kBlock;
    void* const memory = std::aligned_alloc(kBlock, rounded);
    std::memset(memory, kPattern, rounded);
    const std::scoped_lock lock(mutex());
    pieces()[memory] = rounded;
    return {memory, memory, &release, at::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  static bool holds(const void* address) {
    const std::scoped_lock lock(mutex());
    const auto after = pieces().upper_bound(address);
    if (after == pieces().begin()) return false;
    const auto& [memory, bytes] = *std::prev(after);
    return address < static_cast<const std::byte*>(memory) + bytes;
  }

 private:
  static std::mutex& mutex() {
    static auto* const of_process = new std::mutex();
    return *of_process;
  }
  static std::map<const void*, std::size_t>& pieces() {
    static auto* const of_process = new std::map<const void*, std::size_t>();
    return *of_process;
  }
  static void release(void* memory) {
    {
      const std::scoped_lock lock(mutex());
      pieces().erase(memory);
    }
    std::free(memory);
  }
};

}  // namespace

Accelerator& Accelerator::one() {
  static auto* const of_process = new Accelerator();  // Tensors may outlive all else.
  return *of_process;
}

std::size_t& simulated::current_stream() {
  thread_local std::size_t of_thread = 0;
  return of_thread;
}

c10::Allocator* simulated::device_allocator() {
  static auto* const of_process = new DeviceAllocator();
  return of_process;
}

c10::Allocator* simulated::pinned_allocator() {
  static auto* const of_process = new PinnedAllocator();
  return of_process;
}

bool simulated::is_pinned(const void* address) { return PinnedAllocator::holds(address); }

AcceleratorMemory accelerator_memory() {
  const std::scoped_lock lock(Accelerator::one().mutex);
  return account();
}

void reset_accelerator_peak() {
  const std::scoped_lock lock(Accelerator::one().mutex);
  account().peak = account().in_use;
}

}  // namespace cloze
