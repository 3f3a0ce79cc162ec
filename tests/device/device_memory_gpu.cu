// Memory of a GPU.
#include <cuda_runtime.h>

#include <string>

#include "tests/device/device_memory.h"

namespace cloze {
namespace {

void demand(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw DeviceLost(std::string(what) + ": " + cudaGetErrorString(error));
}

}  // namespace

void* device_allocate(std::size_t bytes) {
  void* memory = nullptr;
  demand(cudaMalloc(&memory, bytes == 0 ? 1 : bytes), "cudaMalloc");
  return memory;
}

void device_free(void* memory) { cudaFree(memory); }

void copy_to_device(void* to, const void* from, std::size_t bytes) {
  demand(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copy to the device");
}

void copy_to_host(void* to, const void* from, std::size_t bytes) {
  demand(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copy to the host");
}

void device_wait() { demand(cudaDeviceSynchronize(), "a kernel failed"); }

std::size_t device_guard_bytes() { return 256; }

}  // namespace cloze
