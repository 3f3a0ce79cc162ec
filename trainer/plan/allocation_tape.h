// An allocator that only counts: a step's tensors in the order in which it makes and drops them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "parallel/pass/caching_allocator.h"

namespace cloze {

class AllocationTape {
 public:
  // A tensor's memory, given back with its last copy. Null where there is no tensor.
  using Memory = std::shared_ptr<const void>;

  // Counted as the CPU allocator counts it. The memory must not outlive the tape.
  Memory make(std::int64_t bytes) {
    const auto block = static_cast<std::int64_t>(block_bytes(static_cast<std::size_t>(bytes)));
    in_use_ += block;
    peak_ = std::max(peak_, in_use_);
    // Only the counting is shared: there is nothing to point to.
    return {this, [this, block](const void*) { in_use_ -= block; }};
  }

  std::int64_t in_use() const { return in_use_; }  // Bytes.
  std::int64_t peak() const { return peak_; }      // Bytes.

 private:
  std::int64_t in_use_ = 0;
  std::int64_t peak_ = 0;
};

}  // namespace cloze
