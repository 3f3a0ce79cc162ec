#include "tests/support/simulated_accelerator.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <utility>

#include "tests/support/simulated_accelerator_state.h"

namespace cloze {

using simulated::Accelerator;
using simulated::current_stream;
using simulated::kType;
using simulated::Place;

namespace {

c10::Stream stream_of(std::size_t number) {
  return c10::Stream(c10::Stream::UNSAFE, simulated_accelerator(),
                     static_cast<c10::StreamId>(number));
}

std::size_t number_of(const c10::Stream& stream) { return static_cast<std::size_t>(stream.id()); }

struct GuardImpl final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
  c10::Device getDevice() const override { return {kType, 0}; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }

  c10::Stream getStream(c10::Device) const override { return stream_of(current_stream()); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream_of(0); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    return stream_of(Accelerator::one().streams.add());
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return stream_of(std::exchange(current_stream(), number_of(stream)));
  }

  void record(void** event, const c10::Stream& stream, c10::DeviceIndex,
              c10::EventFlag) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    if (*event == nullptr) *event = new Place();
    *static_cast<Place*>(*event) = Accelerator::one().streams.end_of(number_of(stream));
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event == nullptr) return;
    const std::scoped_lock lock(Accelerator::one().mutex);
    const Place place = *static_cast<Place*>(event);
    if (place.stream == number_of(stream)) return;
    Accelerator::one().streams.give(number_of(stream),
                                    [place] { Accelerator::one().streams.finish(place); });
  }
  bool queryEvent(void* event) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    return event == nullptr || Accelerator::one().streams.is_done(*static_cast<Place*>(event));
  }
  void synchronizeEvent(void* event) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    if (event != nullptr) Accelerator::one().streams.finish(*static_cast<Place*>(event));
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<Place*>(event);
  }
  bool queryStream(const c10::Stream& stream) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    return Accelerator::one().streams.is_done(Accelerator::one().streams.end_of(number_of(stream)));
  }
  void synchronizeStream(const c10::Stream& stream) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    Accelerator::one().streams.finish(Accelerator::one().streams.end_of(number_of(stream)));
  }
  void synchronizeDevice(c10::DeviceIndex) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    Accelerator::one().streams.finish_all();
  }
  void recordDataPtrOnStream(const c10::DataPtr& data, const c10::Stream& stream) const override {
    const std::scoped_lock lock(Accelerator::one().mutex);
    const auto found = Accelerator::one().blocks.find(data.get_context());
    if (found != Accelerator::one().blocks.end()) {
      found->second.users.push_back(number_of(stream));
    }
  }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  at::Device getDeviceFromPtr(void*) const override { return simulated_accelerator(); }
  bool isPinnedPtr(const void* data) const override { return simulated::is_pinned(data); }
  at::Allocator* getPinnedMemoryAllocator() const override { return simulated::pinned_allocator(); }
};

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, c10::GetAllocator(kType),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                         std::optional<at::ScalarType> type, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, c10::GetAllocator(kType),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(type));
}

// The same memory as a tensor of the CPU.
at::Tensor of_host(const at::Tensor& tensor) {
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(),
                       at::TensorOptions().dtype(tensor.scalar_type()));
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& to, bool non_blocking) {
  Accelerator& accelerator = Accelerator::one();
  const at::Tensor host = self.is_cpu() ? self : (to.is_cpu() ? to : at::Tensor());
  // The call returns before the copy is made, unless the host's memory is not pinned.
  const bool late =
      !host.defined() || (non_blocking && simulated::is_pinned(host.const_data_ptr()));
  // Device memory is not held by what is queued. The host's is, by LibTorch.
  const std::scoped_lock lock(accelerator.mutex);
  const std::size_t stream = current_stream();
  if (stream != 0) ++accelerator.copies;
  accelerator.streams.give(stream,
                           [from = of_host(self), out = of_host(to), host] { out.copy_(from); });
  if (!late) accelerator.streams.finish(accelerator.streams.end_of(stream));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& to) {
  if (to.sizes() != self.sizes()) to.resize_(self.sizes());
  return copy_from(self, to, /*non_blocking=*/false);
}

const at::Tensor& resize(const at::Tensor& self, at::IntArrayRef size,
                         std::optional<at::MemoryFormat>) {
  TORCH_CHECK(self.numel() == 0 || self.sizes() == size, "only results are resized here");
  if (self.sizes() != size) self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  const auto bytes = static_cast<std::size_t>(self.numel()) * self.element_size();
  if (self.storage().nbytes() < bytes) {
    const c10::Storage& storage = self.storage();
    storage.unsafeGetStorageImpl()->set_data_ptr_noswap(c10::GetAllocator(kType)->allocate(bytes));
    storage.unsafeGetStorageImpl()->set_nbytes(bytes);
  }
  return self;  // NOLINT(bugprone-return-const-ref-from-parameter): LibTorch's signature.
}

void record_stream(at::Tensor& self, c10::Stream stream) {
  GuardImpl().recordDataPtrOnStream(self.storage().data_ptr(), stream);
}

// A product of 16-bit factors whose sum is in fp32, which LibTorch has for GPUs alone.
at::Tensor& addmm_dtype_out(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b,
                            at::ScalarType dtype, const at::Scalar& beta, const at::Scalar& alpha,
                            at::Tensor& out) {
  at::Tensor sum = of_host(out);
  at::addmm_out(sum, of_host(self), of_host(a).to(dtype), of_host(b).to(dtype), beta, alpha);
  return out;
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  at::native::cpu_fallback(op, stack);
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("addmm.dtype_out", &addmm_dtype_out);
  library.impl("record_stream", &record_stream);
  library.impl("resize_", &resize);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
}

at::Device simulated_accelerator() {
  static const at::Device of_process = [] {
    c10::impl::registerDeviceGuard(kType, new GuardImpl());
    c10::SetAllocator(kType, simulated::device_allocator());
    at::RegisterPrivateUse1HooksInterface(new Hooks());
    c10::register_privateuse1_backend("simulated");  // Only then is memory pinned for it.
    return at::Device(kType, 0);
  }();
  return of_process;
}

void set_accelerator_options(const AcceleratorOptions& options) {
  const std::scoped_lock lock(Accelerator::one().mutex);
  Accelerator::one().streams.finish_all();
  Accelerator::one().streams.seed(options);
}

std::int64_t num_copies_on_other_streams() {
  const std::scoped_lock lock(Accelerator::one().mutex);
  return Accelerator::one().copies;
}

}  // namespace cloze
