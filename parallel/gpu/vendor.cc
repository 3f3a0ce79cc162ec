#include "parallel/gpu/vendor.h"

#include <algorithm>
#include <array>

#include "parallel/base/check.h"

namespace cloze {

std::span<const GpuVendor> gpu_vendors() {
  static const std::array vendors = {
      GpuVendor{.device = "cuda",
                .torch_type = c10::DeviceType::CUDA,
                .torch_library = "libtorch_cuda.so",
                .kernel_library = "libcloze_cuda.so",
                .collectives = "libnccl.so.2",
                .open_runtime = &open_cuda_runtime,
                .oldest_capability = 80},
  };
  return vendors;
}

const GpuVendor* gpu_vendor_of(std::string_view device) {
  if (device == "cpu") return nullptr;
  const auto found = std::ranges::find(gpu_vendors(), device, &GpuVendor::device);
  CLOZE_REQUIRE(found != gpu_vendors().end(), ExitCode::kUsage,
                str("there is no device '", device, "'"), "say cpu or cuda");
  return &*found;
}

}  // namespace cloze
