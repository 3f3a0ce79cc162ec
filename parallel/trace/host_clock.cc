#include "parallel/trace/host_clock.h"

#include <functional>
#include <optional>
#include <string>

#include "parallel/base/system_file.h"

namespace cloze {

std::uint64_t host_clock_id() {
  const std::optional<std::string> boot = system_text("/proc/sys/kernel/random/boot_id");
  if (!boot || boot->empty()) return 0;
  // Without time namespaces the file is missing, which is alike on all processes of the host.
  return std::hash<std::string>()(*boot + system_text("/proc/self/timens_offsets").value_or(""));
}

}  // namespace cloze
