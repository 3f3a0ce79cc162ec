// Reads the CPU's features. The C library is asked, not cpuid, so that a user can take features
// away from a program without our reading the environment.
#include "parallel/kernels/instruction_set.h"

#ifndef CLOZE_KERNEL_AVX512

#ifdef __clang__
// The header below uses C's name, which GCC knows in C++ too.
#define _Bool bool  // NOLINT(bugprone-reserved-identifier)
#endif
#include <sys/platform/x86.h>

namespace cloze {

CpuFeatures cpu_features() {
  return {.avx512f = CPU_FEATURE_ACTIVE(AVX512F),
          .avx512bw = CPU_FEATURE_ACTIVE(AVX512BW),
          .avx512cd = CPU_FEATURE_ACTIVE(AVX512CD),
          .avx512dq = CPU_FEATURE_ACTIVE(AVX512DQ),
          .avx512vl = CPU_FEATURE_ACTIVE(AVX512VL),
          .amx_tile = CPU_FEATURE_ACTIVE(AMX_TILE),
          .amx_bf16 = CPU_FEATURE_ACTIVE(AMX_BF16)};
}

InstructionSet choose_instruction_set(const CpuFeatures& features) {
  const bool all = features.avx512f && features.avx512bw && features.avx512cd &&
                   features.avx512dq && features.avx512vl;
  return all ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
}

InstructionSet instruction_set() {
  static const InstructionSet chosen = choose_instruction_set(cpu_features());
  return chosen;
}

}  // namespace cloze

#endif
