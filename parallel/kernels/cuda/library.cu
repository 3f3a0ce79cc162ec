#include "parallel/kernels/cuda/library.h"

#include "parallel/kernels/cuda/kernels.h"

namespace cloze::cuda {
namespace {

// Set before the first kernel is called, and the same for all of a process.
GpuHost& host() {
  static GpuHost of_process{};
  return of_process;
}

struct HostRuntime {
  static Stream stream() { return host().stream(); }

  class Memory {
   public:
    explicit Memory(std::int64_t bytes) : data_(host().allocate(bytes)) {}
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { host().release(data_); }
    void* data() { return data_; }

   private:
    void* const data_;
  };
};

}  // namespace
}  // namespace cloze::cuda

std::uint64_t cloze_gpu_interface() { return cloze::cuda::kLibraryInterface; }

const cloze::Kernels* cloze_gpu_kernels(const cloze::cuda::GpuHost* host) {
  static constexpr cloze::Kernels kKernels = cloze::cuda::gpu_kernels<cloze::cuda::HostRuntime>();
  cloze::cuda::host() = *host;
  return &kKernels;
}
