#include "trainer/cli/prepare_process.h"

#include <csignal>
#include <cstdlib>

namespace cloze {

void prepare_process() {
  const char* mode = __builtin_cpu_supports("avx512f") ? "AVX512,STRICT" : "AVX2,STRICT";
  setenv("MKL_CBWR", mode, /*overwrite=*/0);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace cloze
