#include "trainer/doctor/devices.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace cloze {
namespace {

bool is_numbered(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() == prefix.size()) return false;
  return name.substr(prefix.size()).find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::vector<std::string> accelerators_of(const std::vector<std::string>& device_names) {
  // Not nvidiactl or nvidia-uvm, which a driver makes without a device.
  constexpr std::array kNumbered = {"nvidia", "davinci", "accel", "habanalabs"};
  std::vector<std::string> found;
  for (const std::string& name : device_names) {
    const bool numbered = std::ranges::any_of(
        kNumbered, [&](const char* prefix) { return is_numbered(name, prefix); });
    if (numbered || name == "kfd") found.push_back(name);
  }
  std::ranges::sort(found);
  return found;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

}  // namespace cloze
