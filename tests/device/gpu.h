// The GPU that the checks run on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace cloze {

struct FoundGpu {
  std::string name;
  std::string capability;  // "9.0"
  int driver = 0;          // The CUDA version it can run, 13000 for 13.0.
  int runtime = 0;
  std::int64_t memory_bytes = 0;
};

// The first GPU. Error with kUsage where there is none.
FoundGpu find_gpu();

// Milliseconds of one call: the median of `repeats` after three more calls.
double time_of(const std::function<void()>& call, int repeats);

}  // namespace cloze
