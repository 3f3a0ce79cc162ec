#include "parallel/trace/host_clock.h"

#include <fstream>
#include <functional>
#include <iterator>
#include <string>

namespace cloze {
namespace {

// Empty when it cannot be read; files of the kernel have no size.
std::string content_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

std::uint64_t host_clock_id() {
  const std::string boot = content_of("/proc/sys/kernel/random/boot_id");
  if (boot.empty()) return 0;
  // Without time namespaces the file is missing, which is alike on all processes of the host.
  return std::hash<std::string>()(boot + content_of("/proc/self/timens_offsets"));
}

}  // namespace cloze
