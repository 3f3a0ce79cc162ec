#include "parallel/gpu/gpu.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "parallel/base/check.h"
#include "parallel/gpu/flash_attention.h"
#include "parallel/gpu/libraries.h"
#include "parallel/kernels/cuda/library.h"

namespace cloze {
namespace {

// What LibTorch calls the GPUs of this process.
c10::DeviceType& torch_type() {
  static c10::DeviceType of_process = c10::DeviceType::CUDA;
  return of_process;
}

// What a StreamScope set for this thread.
struct Chosen {
  bool is_set = false;
  CudaStream stream = nullptr;
};

Chosen& chosen() {
  thread_local Chosen of_thread;
  return of_thread;
}

CudaStream stream_of_torch() {
  const c10::impl::VirtualGuardImpl gpu(torch_type());
  return static_cast<CudaStream>(gpu.getStream(gpu.getDevice()).native_handle());
}

void* allocate(std::int64_t bytes) {
  return bytes == 0
             ? nullptr
             : c10::GetAllocator(torch_type())->raw_allocate(static_cast<std::size_t>(bytes));
}

void release(void* memory) {
  if (memory != nullptr) c10::GetAllocator(torch_type())->raw_deallocate(memory);
}

constexpr cuda::GpuHost kHost = {
    .stream = &compute_stream, .allocate = &allocate, .release = &release};

// LibTorch's operators of GPUs, which it makes known when it is opened, and how exact they are.
void open_torch(const GpuVendor& vendor) {
  open_torch_library(vendor);
  torch_type() = vendor.torch_type;
  at::Context& context = at::globalContext();
  context.lazyInitDevice(vendor.torch_type);
  // Products of fp32 in fp32, and sums of 16-bit products too.
  context.setAllowTF32CuBLAS(false);
  context.setAllowFP16ReductionCuBLAS(false);
  context.setAllowBF16ReductionCuBLAS(false);
  // Deterministic algorithms fill no memory that is written before it is read.
  context.setDeterministicFillUninitializedMemory(false);
}

const Kernels& kernels_in(const SharedLibrary& library) {
  decltype(&cloze_gpu_kernels) kernels = nullptr;
  library.load(kernels, "cloze_gpu_kernels");
  return *kernels(&kHost);
}

std::string name_of_gpu(const CudaRuntime& cuda, int index) {
  char name[256] = {};
  cuda.check(cuda.device_name(name, sizeof name, index), "asking for a GPU's name");
  return name;
}

at::Device choose(const GpuVendor& vendor, const CudaRuntime& cuda, int place) {
  const int index = place % count_gpus(cuda);
  cuda.check(cuda.set_device(index), "choosing a GPU");
  open_torch(vendor);
  const at::Device device(vendor.torch_type, static_cast<c10::DeviceIndex>(index));
  c10::impl::VirtualGuardImpl(vendor.torch_type).setDevice(device);
  return device;
}

int multiprocessors_of(const CudaRuntime& cuda, int index) {
  int count = 0;
  cuda.check(cuda.device_attribute(&count, kCudaMultiprocessors, index),
             "asking for a GPU's multiprocessors");
  return count;
}

}  // namespace

Gpu::Gpu(const GpuVendor& vendor, int place)
    : vendor_(vendor),
      cuda_(vendor.open_runtime()),
      device_(choose(vendor, cuda_, place)),
      kernel_library_(open_kernel_library(vendor)),
      kernels_(vendor.torch_type == c10::DeviceType::CUDA
                   ? with_flash_attention(kernels_in(kernel_library_), device_,
                                          multiprocessors_of(cuda_, device_.index()))
                   : kernels_in(kernel_library_)),
      name_(name_of_gpu(cuda_, device_.index())) {
  check_capability(vendor, cuda_, device_.index(), name_);
  cuda_.check(cuda_.device_uuid(&uuid_, device_.index()), "asking for a GPU's identity");
}

std::int64_t Gpu::memory_bytes() const {
  std::size_t bytes = 0;
  cuda_.check(cuda_.device_total_memory(&bytes, device_.index()), "asking for a GPU's memory");
  return static_cast<std::int64_t>(bytes);
}

std::int64_t Gpu::peak_tensor_bytes() const {
  constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return at::accelerator::getDeviceStats(device_.index()).allocated_bytes[kAll].peak;
}

CudaStream compute_stream() { return chosen().is_set ? chosen().stream : stream_of_torch(); }

StreamScope::StreamScope(CudaStream stream) : was_set_(chosen().is_set), before_(chosen().stream) {
  chosen() = {true, stream};
}

StreamScope::~StreamScope() { chosen() = {was_set_, before_}; }

}  // namespace cloze
