#include "parallel/pass/caching_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace cloze {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Before a tensor's memory stands what its block is.
constexpr std::size_t kHeader = kAlignment;
// LibTorch lets the allocator of the highest priority serve.
constexpr std::uint8_t kPriority = 100;

std::size_t rounded_to(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

void* system_block(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* block = std::aligned_alloc(alignment, rounded_to(bytes, alignment));
  if (block == nullptr) throw std::bad_alloc();
  if (bytes >= kHugePage) madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

}  // namespace

std::size_t rounded_block_size(std::size_t bytes) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  if (bytes <= kMiB) return rounded_to(std::max<std::size_t>(bytes, 1), 512);
  return rounded_to(bytes, bytes <= 16 * kMiB ? std::size_t{64} << 10 : kHugePage);
}

std::size_t block_bytes(std::size_t bytes) {
  return bytes == 0 ? 0 : rounded_block_size(bytes + kHeader);
}

class CachingAllocator::Cache : public c10::Allocator,
                                public std::enable_shared_from_this<CachingAllocator::Cache> {
 public:
  ~Cache() override { trim(); }

  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &nothing, c10::Device(c10::DeviceType::CPU)};
    const std::size_t size = block_bytes(bytes);
    auto* memory = static_cast<std::byte*>(take(size));
    new (memory) Block{size, shared_from_this()};
    // LibTorch's bf16 products ask for raw memory: then the context must be the address itself.
    return {memory + kHeader, memory + kHeader, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    std::memcpy(target, source, bytes);
  }

  AllocatorStatistics statistics() const {
    const std::scoped_lock lock(mutex_);
    return statistics_;
  }

  void trim() {
    const std::scoped_lock lock(mutex_);
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) std::free(block);
    }
    free_.clear();
    statistics_.bytes_cached = 0;
  }

 private:
  // Stands before a tensor's memory: the whole block's size, and the cache it goes back to.
  struct Block {
    std::size_t size;
    std::shared_ptr<Cache> cache;
  };

  static_assert(sizeof(Block) <= kHeader);

  static void nothing(void* /*context*/) {}

  static void release(void* context) {
    if (context == nullptr) return;
    auto* block =
        std::launder(reinterpret_cast<Block*>(static_cast<std::byte*>(context) - kHeader));
    const std::shared_ptr<Cache> cache = std::move(block->cache);
    const std::size_t size = block->size;
    block->~Block();
    cache->give_back(block, size);
  }

  void* take(std::size_t size) {
    const auto bytes = static_cast<std::int64_t>(size);
    {
      const std::scoped_lock lock(mutex_);
      statistics_.bytes_in_use += bytes;
      statistics_.peak_bytes_in_use =
          std::max(statistics_.peak_bytes_in_use, statistics_.bytes_in_use);
      const auto found = free_.find(size);
      if (found != free_.end() && !found->second.empty()) {
        void* memory = found->second.back();
        found->second.pop_back();
        statistics_.bytes_cached -= bytes;
        return memory;
      }
      ++statistics_.system_requests;
    }
    return system_block(size);
  }

  void give_back(void* memory, std::size_t size) {
    const std::scoped_lock lock(mutex_);
    statistics_.bytes_in_use -= static_cast<std::int64_t>(size);
    statistics_.bytes_cached += static_cast<std::int64_t>(size);
    free_[size].push_back(memory);
  }

  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;  // By size, last freed last.
  AllocatorStatistics statistics_;
};

CachingAllocator::CachingAllocator() : cache_(std::make_shared<Cache>()) {
  c10::SetCPUAllocator(cache_.get(), kPriority);
}

CachingAllocator::~CachingAllocator() {
  c10::SetCPUAllocator(c10::GetDefaultCPUAllocator(), kPriority);
}

AllocatorStatistics CachingAllocator::statistics() const { return cache_->statistics(); }

void CachingAllocator::trim() { cache_->trim(); }

AllocatorStatistics allocator_statistics() {
  const auto* cache = dynamic_cast<CachingAllocator::Cache*>(c10::GetCPUAllocator());
  return cache == nullptr ? AllocatorStatistics() : cache->statistics();
}

}  // namespace cloze
