#include "parallel/gpu/gpu.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "parallel/base/check.h"
#include "parallel/device/shared_library.h"
#include "parallel/gpu/flash_attention.h"
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
  const SharedLibrary torch({vendor.torch_library},
                            "install a LibTorch for these GPUs, and all of what it needs (a plain "
                            "pip install of torch), or train with --device cpu");
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

const Kernels& open_kernels(const GpuVendor& vendor) {
  const std::string fix =
      str("build with -DCLOZE_CUDA=ON, and keep ", vendor.kernel_library,
          " where the build or the installation puts it, or train with --device cpu");
  const SharedLibrary library({vendor.kernel_library}, fix);
  decltype(&cloze_gpu_interface) interface = nullptr;
  decltype(&cloze_gpu_kernels) kernels = nullptr;
  library.load(interface, "cloze_gpu_interface");
  library.load(kernels, "cloze_gpu_kernels");
  CLOZE_REQUIRE(interface() == cuda::kLibraryInterface, ExitCode::kUsage,
                str(vendor.kernel_library, " is of another build than this program"), fix);
  return *kernels(&kHost);
}

at::Device choose(const GpuVendor& vendor, const CudaRuntime& cuda, int place) {
  const int index = place % count_gpus(cuda);
  cuda.check(cuda.set_device(index), "choosing a GPU");
  open_torch(vendor);
  const at::Device device(vendor.torch_type, static_cast<c10::DeviceIndex>(index));
  c10::impl::VirtualGuardImpl(vendor.torch_type).setDevice(device);
  return device;
}

}  // namespace

Gpu::Gpu(const GpuVendor& vendor, int place)
    : vendor_(vendor),
      cuda_(vendor.open_runtime()),
      device_(choose(vendor, cuda_, place)),
      kernels_(vendor.torch_type == c10::DeviceType::CUDA
                   ? with_flash_attention(open_kernels(vendor))
                   : open_kernels(vendor)) {
  char name[256] = {};
  cuda_.check(cuda_.device_name(name, sizeof name, device_.index()), "asking for a GPU's name");
  name_ = name;
  cuda_.check(cuda_.device_uuid(&uuid_, device_.index()), "asking for a GPU's identity");
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
