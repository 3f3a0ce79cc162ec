#include "parallel/device/cuda_runtime.h"

#include <string_view>

#include "parallel/base/check.h"
#include "parallel/device/shared_library.h"

namespace cloze {
namespace {

constexpr const char* kFixLibraries =
    "install CUDA 13's runtime and NVIDIA's driver, or train with --device cpu";

// cudaErrorInsufficientDriver, cudaErrorNoDevice: nothing that a restart would change.
constexpr CudaResult kInsufficientDriver = 35;
constexpr CudaResult kNoDevice = 100;

}  // namespace

void CudaRuntime::check(CudaResult result, const char* call) const {
  if (result == kCudaSuccess) return;
  const bool is_setup = result == kInsufficientDriver || result == kNoDevice;
  fail(is_setup ? ExitCode::kUsage : ExitCode::kTransient,
       str(call, ": CUDA says '", error_string(result), "' (", result, ")"),
       is_setup ? "run where nvidia-smi lists a GPU, or train with --device cpu"
                : "start again from the last checkpoint; if it comes back, look at the GPU with "
                  "nvidia-smi and dmesg");
}

CudaRuntime open_cuda_runtime() {
  const SharedLibrary runtime({"libcudart.so.13"}, kFixLibraries);
  const SharedLibrary driver({"libcuda.so.1"}, kFixLibraries);
  CudaRuntime cuda{};
  runtime.load(cuda.get_device_count, "cudaGetDeviceCount");
  runtime.load(cuda.set_device, "cudaSetDevice");
  // The driver's, for the runtime gives the identity only inside a structure that changes with its
  // version. A device has the same number in both.
  driver.load(cuda.device_uuid, "cuDeviceGetUuid_v2");
  driver.load(cuda.device_name, "cuDeviceGetName");
  runtime.load(cuda.runtime_version, "cudaRuntimeGetVersion");
  runtime.load(cuda.driver_version, "cudaDriverGetVersion");
  runtime.load(cuda.device_stream_priority_range, "cudaDeviceGetStreamPriorityRange");
  runtime.load(cuda.stream_create, "cudaStreamCreateWithPriority");
  runtime.load(cuda.stream_destroy, "cudaStreamDestroy");
  runtime.load(cuda.stream_wait_event, "cudaStreamWaitEvent");
  runtime.load(cuda.event_create, "cudaEventCreateWithFlags");
  runtime.load(cuda.event_destroy, "cudaEventDestroy");
  runtime.load(cuda.event_record, "cudaEventRecord");
  runtime.load(cuda.event_query, "cudaEventQuery");
  runtime.load(cuda.memcpy_async, "cudaMemcpyAsync");
  runtime.load(cuda.error_string, "cudaGetErrorString");
  return cuda;
}

int count_gpus(const CudaRuntime& cuda) {
  int count = 0;
  cuda.check(cuda.get_device_count(&count), "counting the GPUs");
  CLOZE_REQUIRE(count > 0, ExitCode::kUsage, "this machine has no GPU that this process may use",
                "run where nvidia-smi lists one, see CUDA_VISIBLE_DEVICES, or train with "
                "--device cpu");
  return count;
}

std::string text_of(const CudaUuid& uuid) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "GPU-";
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(uuid[i]);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace cloze
