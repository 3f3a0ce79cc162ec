// What a folder such as /dev shows of the host's accelerators, whether this program uses them or
// not.
#pragma once

#include <string>
#include <vector>

namespace cloze {

// Names of /dev that are accelerators: nvidia0, kfd (AMD), davinci0 (Ascend).
std::vector<std::string> accelerators_of(const std::vector<std::string>& device_names);

// The names in a folder such as /dev; none when it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

}  // namespace cloze
