// A device of LibTorch (its PrivateUse1), played in the CPU's memory, to find what a first run on
// a GPU would: a copy on another stream that computing does not wait for, one that does not wait
// for what is computed, memory given back while a copy still needs it.
//
// A stream is a queue. What is put on the default one, where a rank computes, happens at once; on
// any other it happens when something has to wait for it, or earlier when chance says so. Memory
// that is given back is filled with a pattern as soon as its allocator could give it out again.
// LibTorch's operators compute as on the CPU.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace cloze {

// Registered with LibTorch when it is first asked for.
at::Device simulated_accelerator();

struct AcceleratorOptions {
  std::uint64_t seed = 1;  // Of what chance says.
  double early = 0.25;     // How often it says that something waiting happens now.
};

// From now on, in this process. Nothing is left on any stream.
void set_accelerator_options(const AcceleratorOptions& options);

// Bytes of its memory that the calling thread has made, as the allocator of a GPU counts: in blocks
// of 512.
struct AcceleratorMemory {
  std::int64_t in_use = 0;
  std::int64_t peak = 0;  // Since the last reset.
};
AcceleratorMemory accelerator_memory();
void reset_accelerator_peak();

// Copies that another stream than the default one was given, so far.
std::int64_t num_copies_on_other_streams();

}  // namespace cloze
