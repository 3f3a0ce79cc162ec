// One call of each kernel at the sizes of a model like scripts/measure/compare.yaml's, with the
// bytes it must move and the FLOPs it must make: what its time is held against, and what its
// instructions are counted of.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cloze {

struct KernelCase {
  std::string name;
  double bytes = 0;  // Read and written once each, the least that the result needs.
  double flops = 0;  // Of products alone; 0 where memory is the bound.
  std::function<void()> run;
};

// By default those of scripts/measure/compare.yaml.
struct KernelSizes {
  std::int64_t tokens = 2048;
  std::int64_t vocab = 32000;
  std::int64_t head_chunk = 512;  // Tokens whose logits exist at a time; at most `tokens`.
  std::int64_t flat = 1 << 22;    // Elements of a flat buffer.
};

// Inputs are made here, once; a case may be run again and again.
std::vector<KernelCase> kernel_cases(const KernelSizes& sizes);

}  // namespace cloze
