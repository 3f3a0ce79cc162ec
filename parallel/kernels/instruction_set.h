// The instruction sets that kernels are compiled for, and which one this machine runs.
//
// Every .cc of this folder is compiled twice: once with the flags of the whole program (AVX2 and
// FMA) and once, with CLOZE_KERNEL_AVX512 defined, for AVX-512. The inner loop of a kernel is a
// member template `run<Set>` of a plain struct of its arguments; each compilation instantiates it
// for its own set, so that no symbol exists in two flavours of which the linker would pick one.
// Public functions are compiled once, in the first compilation, and call run_parallel or
// run_parallel_each.
//
// Both sets give the same bits: see pack.h.
#pragma once

#include <cstdint>

#include "parallel/base/parallel_for.h"

namespace cloze {

struct Avx2 {};
struct Avx512 {};

#ifdef CLOZE_KERNEL_AVX512
using CompiledSet = Avx512;
#else
using CompiledSet = Avx2;
#endif

enum class InstructionSet : std::uint8_t { kAvx2, kAvx512 };

// What decides; the first five are the x86-64-v4 level.
struct CpuFeatures {
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512cd = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool amx_tile = false;
  bool amx_bf16 = false;
};

// Of this machine, less what GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F and the like take away.
CpuFeatures cpu_features();

InstructionSet choose_instruction_set(const CpuFeatures& features);

// The choice for this machine, made once.
InstructionSet instruction_set();

// Items [first, last) of `work` on this thread.
template <class Work>
void run_items(const Work& work, std::int64_t first, std::int64_t last) {
  if (instruction_set() == InstructionSet::kAvx512) {
    work.template run<Avx512>(first, last);
  } else {
    work.template run<Avx2>(first, last);
  }
}

// Runs items [0, n) of `work` on the threads of this rank, in parts of multiples of `grain`.
template <class Work>
void run_parallel(const Work& work, std::int64_t n, std::int64_t grain) {
  parallel_for(0, n, grain,
               [&work](std::int64_t first, std::int64_t last) { run_items(work, first, last); });
}

// The same for long items of unequal cost, one after the other to whichever thread is free.
template <class Work>
void run_parallel_each(const Work& work, std::int64_t n) {
  parallel_each(n, [&work](std::int64_t item, int /*thread*/) { run_items(work, item, item + 1); });
}

// How many items of `bytes` each make a part worth a thread.
inline std::int64_t grain_of(std::int64_t bytes) {
  return bytes >= 16384 ? 1 : 16384 / (bytes > 0 ? bytes : 1);
}

}  // namespace cloze

// Instantiates the inner loop of a struct for the set of this compilation.
#ifdef CLOZE_KERNEL_AVX512
#define CLOZE_KERNEL(...) \
  template void __VA_ARGS__::run<::cloze::Avx512>(std::int64_t, std::int64_t) const
#else
#define CLOZE_KERNEL(...)                                                          \
  template void __VA_ARGS__::run<::cloze::Avx2>(std::int64_t, std::int64_t) const; \
  extern template void __VA_ARGS__::run<::cloze::Avx512>(std::int64_t, std::int64_t) const
#endif

// The same for the four storage types.
#define CLOZE_KERNEL_OF_ALL_TYPES(Work)  \
  CLOZE_KERNEL(Work<double>);            \
  CLOZE_KERNEL(Work<float>);             \
  CLOZE_KERNEL(Work<::cloze::BFloat16>); \
  CLOZE_KERNEL(Work<::cloze::Float16>)
