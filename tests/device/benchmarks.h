// How fast the GPU kernels are on the shapes of training.
#pragma once

#include <functional>
#include <string>

namespace cloze {

struct Timing {
  std::string name;
  double milliseconds = 0;
  double rate = 0;           // In `unit`: bytes or operations that must be, over the time.
  std::string unit;          // "GB/s" or "TFLOP/s"
  double share_of_copy = 0;  // Of the rate of a copy on this GPU; 0 for operations.
};

// Those whose name has `filter` in it; calls `listener` with each as it is known.
void run_benchmarks(const std::string& filter, const std::function<void(const Timing&)>& listener);

}  // namespace cloze
