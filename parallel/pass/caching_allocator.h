// A CPU allocator that keeps freed blocks for the next tensor of their size.
//
// LibTorch's own gives large blocks back to the system, whose fresh pages cost more than most
// kernels that fill them. After the first step of a run every block comes from here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace cloze {

struct AllocatorStatistics {
  std::int64_t bytes_in_use = 0;
  std::int64_t peak_bytes_in_use = 0;
  std::int64_t bytes_cached = 0;     // Freed and kept.
  std::int64_t system_requests = 0;  // Blocks taken from the system so far.
};

// Makes it LibTorch's allocator of CPU tensors while the object lives; one at a time, made before
// the first tensor. Blocks that tensors still hold when it dies stay valid.
class CachingAllocator {
 public:
  CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;
  ~CachingAllocator();

  AllocatorStatistics statistics() const;
  // Gives the cached blocks back to the system.
  void trim();

 private:
  friend AllocatorStatistics allocator_statistics();
  class Cache;
  std::shared_ptr<Cache> cache_;
};

// The size that a request is rounded up to: multiples of 512 bytes up to 1 MiB, of 64 KiB up to
// 16 MiB, of 2 MiB beyond.
std::size_t rounded_block_size(std::size_t bytes);

// What a tensor of `bytes` takes: its block, with what stands before it. None when it is empty.
std::size_t block_bytes(std::size_t bytes);

// Of the object that lives now; zeros when none does.
AllocatorStatistics allocator_statistics();

}  // namespace cloze
