// Ranks that train on the simulated device of LibTorch's, with the kernels of GPUs under their
// emulator.
#pragma once

#include "tests/parity/layout_run.h"

namespace cloze {

// Those of the library that a run on GPUs opens; what they borrow is the device's memory.
const Kernels& accelerator_kernels();

// Groups of ranks that share the device: tensors go through the hosts' memory.
void connect_sharing(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas,
                     const std::function<void(const Groups&)>& body);

}  // namespace cloze
