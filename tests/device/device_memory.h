// Memory of the device that kernels run on: a GPU, or for the emulated kernels the CPU itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace cloze {

// The device cannot be used any further: a kernel has failed.
struct DeviceLost : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Both links give these: device_memory_gpu.cc, device_memory_host.cc.
void* device_allocate(std::size_t bytes);
void device_free(void* memory);
void copy_to_device(void* to, const void* from, std::size_t bytes);
void copy_to_host(void* to, const void* from, std::size_t bytes);
void device_wait();  // Until all kernels are done; throws DeviceLost.
// Bytes around an array that show writes beyond it; 0 where a sanitizer does that better.
std::size_t device_guard_bytes();

// An array on the device.
template <class T>
class DeviceArray {
 public:
  // With `misaligned` it begins one element behind an aligned address.
  explicit DeviceArray(const std::vector<T>& values, bool misaligned = false)
      : size_(values.size()), offset_(device_guard_bytes() + (misaligned ? sizeof(T) : 0)) {
    std::vector<unsigned char> bytes(offset_ + size_ * sizeof(T) + device_guard_bytes(), kGuard);
    if (size_ > 0) std::memcpy(bytes.data() + offset_, values.data(), size_ * sizeof(T));
    bytes_ = bytes.size();
    memory_ = static_cast<unsigned char*>(device_allocate(bytes_));
    copy_to_device(memory_, bytes.data(), bytes_);
  }
  ~DeviceArray() { device_free(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return reinterpret_cast<T*>(memory_ + offset_); }

  // Waits for the kernels. Throws when something was written around the array.
  std::vector<T> read() const {
    device_wait();
    std::vector<unsigned char> bytes(bytes_);
    copy_to_host(bytes.data(), memory_, bytes_);
    for (std::size_t i = 0; i < bytes_; ++i) {
      const bool inside = i >= offset_ && i < offset_ + size_ * sizeof(T);
      if (!inside && bytes[i] != kGuard) throw std::runtime_error("wrote outside an array");
    }
    std::vector<T> values(size_);
    if (size_ > 0) std::memcpy(values.data(), bytes.data() + offset_, size_ * sizeof(T));
    return values;
  }

 private:
  static constexpr unsigned char kGuard = 0x5a;
  std::size_t size_;
  std::size_t offset_;
  std::size_t bytes_ = 0;
  unsigned char* memory_ = nullptr;
};

// What a kernel needs beside its arguments, full of NaNs.
inline DeviceArray<unsigned char> device_workspace(std::int64_t bytes) {
  return DeviceArray<unsigned char>(
      std::vector<unsigned char>(static_cast<std::size_t>(bytes), 0xff));
}

}  // namespace cloze
