#include "parallel/gpu/libraries.h"

#include "parallel/base/check.h"
#include "parallel/kernels/cuda/library.h"

namespace cloze {
namespace {

struct Capability {
  int major = 0;
  int minor = 0;
};

Capability capability_of(const CudaRuntime& cuda, int index) {
  Capability found;
  cuda.check(cuda.device_attribute(&found.major, kCudaCapabilityMajor, index),
             "asking for a GPU's compute capability");
  cuda.check(cuda.device_attribute(&found.minor, kCudaCapabilityMinor, index),
             "asking for a GPU's compute capability");
  return found;
}

}  // namespace

SharedLibrary open_torch_library(const GpuVendor& vendor) {
  return {{vendor.torch_library},
          "install a LibTorch for these GPUs, and all of what it needs (a plain pip install of "
          "torch), or train with --device cpu"};
}

SharedLibrary open_kernel_library(const GpuVendor& vendor) {
  const std::string fix =
      str("build with -DCLOZE_CUDA=ON, and keep ", vendor.kernel_library,
          " where the build or the installation puts it, or train with --device cpu");
  SharedLibrary library({vendor.kernel_library}, fix);
  decltype(&cloze_gpu_interface) interface = nullptr;
  library.load(interface, "cloze_gpu_interface");
  CLOZE_REQUIRE(interface() == cuda::kLibraryInterface, ExitCode::kUsage,
                str(vendor.kernel_library, " is of another build than this program"), fix);
  return library;
}

void check_capability(const GpuVendor& vendor, const CudaRuntime& cuda, int index,
                      const std::string& name) {
  if (vendor.oldest_capability == 0) return;
  const Capability found = capability_of(cuda, index);
  CLOZE_REQUIRE(found.major * 10 + found.minor >= vendor.oldest_capability, ExitCode::kUsage,
                str(name, " is of compute capability ", found.major, ".", found.minor,
                    ", for which there are no kernels"),
                str("train on GPUs of compute capability ", vendor.oldest_capability / 10, ".",
                    vendor.oldest_capability % 10, " or later, or with --device cpu"));
}

std::string capability_text(const CudaRuntime& cuda, int index) {
  const Capability found = capability_of(cuda, index);
  return str(found.major, ".", found.minor);
}

}  // namespace cloze
