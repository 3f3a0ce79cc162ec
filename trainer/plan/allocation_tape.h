// An allocator that only counts: a step's tensors in the order in which it makes and drops them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "trainer/plan/device_memory.h"

namespace cloze {

class AllocationTape {
 public:
  // A tensor's memory, given back with its last copy. Null where there is no tensor.
  using Memory = std::shared_ptr<const void>;

  // `block`: DeviceMemory's.
  explicit AllocationTape(std::int64_t (*block)(std::int64_t bytes)) : block_(block) {}

  // The memory must not outlive the tape.
  Memory make(std::int64_t bytes) {
    const std::int64_t block = block_(bytes);
    in_use_ += block;
    peak_ = std::max(peak_, in_use_);
    // Only the counting is shared: there is nothing to point to.
    return {this, [this, block](const void*) { in_use_ -= block; }};
  }

  std::int64_t in_use() const { return in_use_; }  // Bytes.
  std::int64_t peak() const { return peak_; }      // Bytes.

 private:
  std::int64_t (*const block_)(std::int64_t bytes);
  std::int64_t in_use_ = 0;
  std::int64_t peak_ = 0;
};

}  // namespace cloze
