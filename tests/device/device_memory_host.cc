// The device of the emulated kernels: ordinary memory.
#include <cstring>

#include "tests/device/device_memory.h"

namespace cloze {

void* device_allocate(std::size_t bytes) { return ::operator new(bytes); }
void device_free(void* memory) { ::operator delete(memory); }
void copy_to_device(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void copy_to_host(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void device_wait() {}
std::size_t device_guard_bytes() { return 0; }

}  // namespace cloze
