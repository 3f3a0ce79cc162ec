// Asks the CUDA runtime.
#include "tests/device/gpu.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

#include "parallel/base/check.h"
#include "tests/device/device_memory.h"

namespace cloze {

FoundGpu find_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    fail(ExitCode::kUsage,
         str("no GPU: ", error == cudaSuccess ? "none is there" : cudaGetErrorString(error)),
         "run this on a machine with an NVIDIA GPU and its driver");
  }
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess || cudaSetDevice(0) != cudaSuccess) {
    fail(ExitCode::kUsage, "the GPU does not answer", "look at nvidia-smi");
  }
  FoundGpu gpu{.name = properties.name,
               .capability = str(properties.major, ".", properties.minor),
               .driver = 0,
               .runtime = 0,
               .memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem)};
  cudaDriverGetVersion(&gpu.driver);
  cudaRuntimeGetVersion(&gpu.runtime);
  return gpu;
}

double time_of(const std::function<void()>& call, int repeats) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  for (int i = 0; i < 3; ++i) call();
  device_wait();
  std::vector<float> times;
  for (int i = 0; i < repeats; ++i) {
    cudaEventRecord(begin);
    call();
    cudaEventRecord(end);
    device_wait();
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    times.push_back(milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace cloze
