#include "parallel/device/cuda_runtime.h"

#include <algorithm>

#include "parallel/base/check.h"
#include "parallel/base/system_file.h"
#include "parallel/device/cuda_error.h"
#include "parallel/device/shared_library.h"

namespace cloze {
namespace {

constexpr const char* kFixLibraries =
    "install CUDA 13's runtime and NVIDIA's driver, or train with --device cpu";

}  // namespace

void CudaRuntime::check(CudaResult result, const char* call) const {
  if (result == kCudaSuccess) return;
  fail(code_of_cuda_error(result),
       str(call, ": CUDA says '", error_string(result), "' (", result, ")"),
       fix_of_cuda_error(result));
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
  driver.load(cuda.device_total_memory, "cuDeviceTotalMem_v2");
  driver.load(cuda.device_attribute, "cuDeviceGetAttribute");
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

std::string cuda_version_text(int version) { return str(version / 1000, ".", version % 1000 / 10); }

std::string parse_nvidia_driver(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  constexpr std::string_view kBlank = " \t";
  for (std::size_t at = text.find_first_not_of(kBlank); at != std::string_view::npos;
       at = text.find_first_not_of(kBlank, at)) {
    const std::size_t end = std::min(text.find_first_of(kBlank, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    // Of the words between the maker's name and the date, the one that is a number of parts.
    if (word.find('.') != std::string_view::npos &&
        word.find_first_not_of("0123456789.") == std::string_view::npos) {
      return std::string(word);
    }
    at = end;
  }
  return "";
}

std::string driver_text(const CudaRuntime& cuda) {
  std::string own = parse_nvidia_driver(system_text("/proc/driver/nvidia/version").value_or(""));
  if (!own.empty()) return own;
  int version = 0;
  cuda.check(cuda.driver_version(&version), "asking for the driver's version");
  return str("of CUDA ", cuda_version_text(version));
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
