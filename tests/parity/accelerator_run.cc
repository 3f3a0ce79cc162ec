#include "tests/parity/accelerator_run.h"

#include <c10/core/Allocator.h>

#include "parallel/kernels/cuda/library.h"
#include "tests/support/simulated_accelerator.h"

namespace cloze {
namespace {

void* allocate(std::int64_t bytes) {
  return bytes == 0 ? nullptr
                    : c10::GetAllocator(simulated_accelerator().type())
                          ->raw_allocate(static_cast<std::size_t>(bytes));
}

void release(void* memory) {
  if (memory != nullptr) {
    c10::GetAllocator(simulated_accelerator().type())->raw_deallocate(memory);
  }
}

}  // namespace

const Kernels& accelerator_kernels() {
  const cuda::GpuHost host{
      .stream = [] { return cuda::Stream(nullptr); }, .allocate = &allocate, .release = &release};
  return *cloze_gpu_kernels(&host);
}

void connect_sharing(const Mesh& mesh, LocalWorld& world, int rank, int kv_replicas,
                     const std::function<void(const Groups&)>& body) {
  body(connect_staged(mesh, simulated_accelerator(), rank, kv_replicas, world.make_group(rank)));
}

}  // namespace cloze
