// Runs one kernel under a tool that counts instructions: see count_instructions.py.
//   cloze_kernel_counts            the names
//   cloze_kernel_counts NAME       runs it once to warm up and once in counted_call()
#include <cstdio>
#include <cstring>

#include "tests/benchmark/kernel_cases.h"

// A name that the tool finds: it counts inside of this function alone.
extern "C" [[gnu::noinline]] void counted_call(const cloze::KernelCase& kernel) { kernel.run(); }

int main(int argc, char** argv) {
  // Small: the tool makes each instruction cost a hundred.
  const cloze::KernelSizes sizes{.tokens = 192, .vocab = 4000, .head_chunk = 64, .flat = 1 << 16};
  for (const cloze::KernelCase& kernel : cloze::kernel_cases(sizes)) {
    if (argc < 2) std::puts(kernel.name.c_str());
    if (argc < 2 || kernel.name != argv[1]) continue;
    kernel.run();
    counted_call(kernel);
    return 0;
  }
  return argc < 2 ? 0 : 64;
}
