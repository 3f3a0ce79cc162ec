// A job's config, which all of its ranks must share.
#pragma once

#include <functional>

#include "parallel/comm/communicator.h"
#include "trainer/config/load.h"

namespace cloze {

// What `load` gives on every rank; rank 0 prints the notices. All ranks throw the same AgreedError
// when it fails on one, or when the ranks' configs differ (kUsage, names the keys).
LoadedConfig agreed_config(Communicator& world, const std::function<LoadedConfig()>& load);

}  // namespace cloze
