// The functions of CUDA's runtime that Cloze calls, as a table: nothing of CUDA is needed to build
// or to start the program, and tests put their own functions in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct CUstream_st;
struct CUevent_st;

namespace cloze {

using CudaStream = CUstream_st*;  // cudaStream_t.
using CudaEvent = CUevent_st*;    // cudaEvent_t.
using CudaResult = int;           // cudaError_t.
using CudaUuid = std::array<char, 16>;

constexpr CudaResult kCudaSuccess = 0;
constexpr CudaResult kCudaNotReady = 600;
constexpr unsigned kCudaStreamNonBlocking = 1;
constexpr unsigned kCudaEventDisableTiming = 2;
constexpr int kCudaMemcpyDefault = 4;  // The addresses tell the direction.
// Of a device's attributes, its multiprocessors and its compute capability.
constexpr int kCudaMultiprocessors = 16;
constexpr int kCudaCapabilityMajor = 75;
constexpr int kCudaCapabilityMinor = 76;

// The names are CUDA's without their "cuda"; their documentation says what each does.
struct CudaRuntime {
  CudaResult (*get_device_count)(int* count);
  CudaResult (*set_device)(int device);
  CudaResult (*device_uuid)(CudaUuid* uuid, int device);
  CudaResult (*device_name)(char* name, int length, int device);
  CudaResult (*device_total_memory)(std::size_t* bytes, int device);
  CudaResult (*device_attribute)(int* value, int attribute, int device);
  CudaResult (*runtime_version)(int* version);
  CudaResult (*driver_version)(int* version);
  CudaResult (*device_stream_priority_range)(int* least, int* greatest);
  CudaResult (*stream_create)(CudaStream* stream, unsigned flags, int priority);
  CudaResult (*stream_destroy)(CudaStream stream);
  CudaResult (*stream_wait_event)(CudaStream stream, CudaEvent event, unsigned flags);
  CudaResult (*event_create)(CudaEvent* event, unsigned flags);
  CudaResult (*event_destroy)(CudaEvent event);
  CudaResult (*event_record)(CudaEvent event, CudaStream stream);
  CudaResult (*event_query)(CudaEvent event);
  CudaResult (*memcpy_async)(void* to, const void* from, std::size_t bytes, int kind,
                             CudaStream stream);
  const char* (*error_string)(CudaResult result);

  // Throws Error with CUDA's own words when `result` is not kCudaSuccess, of the kind that
  // cuda_error.h says. `call`: what was asked, for the message.
  void check(CudaResult result, const char* call) const;
};

// Opens libcudart and the driver. Throws Error kUsage, naming the library, where there is none.
CudaRuntime open_cuda_runtime();

// How many GPUs this process may use; at least one. Throws Error kUsage when there are none.
int count_gpus(const CudaRuntime& cuda);

// "13.0" of 13000, as CUDA numbers its versions.
std::string cuda_version_text(int version);

// "580.65.06": the driver's own version, of the text of /proc/driver/nvidia/version; empty when the
// text tells none.
std::string parse_nvidia_driver(std::string_view text);

// The driver's version: its own, or, where the system does not show that, "of CUDA 13.0", the
// latest that it takes programs of.
std::string driver_text(const CudaRuntime& cuda);

// "GPU-5a1e...", as nvidia-smi writes it.
std::string text_of(const CudaUuid& uuid);

}  // namespace cloze
