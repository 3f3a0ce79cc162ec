// Accelerators of the host, which this build does not use.
#pragma once

#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// Names of /dev that are accelerators: nvidia0, kfd (AMD), davinci0 (Ascend).
std::vector<std::string> accelerators_of(const std::vector<std::string>& device_names);

// gpu and gpu.nccl: neither is in this build.
std::vector<CheckResult> check_accelerators(const std::vector<std::string>& accelerators);

// The names in a folder such as /dev; none when it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

}  // namespace cloze
