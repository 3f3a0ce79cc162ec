// What `cloze doctor` measures with LibTorch and the communicator: with the very calls that
// training makes.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "parallel/comm/communicator.h"
#include "trainer/doctor/fabric.h"
#include "trainer/doctor/gemm.h"

namespace cloze {

// Every rank of `world`, of two at least, calls it; the result is whole on rank 0. `wall_clock`
// gives seconds since the epoch.
FabricTimes measure_fabric(Communicator& world, const std::string& host,
                           const std::function<double()>& wall_clock);

// Every rank calls it; all get the rates of all.
GemmRates measure_gemm(Communicator& world, int threads);

// disk.shared: whether all hosts see what rank 0 makes in its folder. Every rank calls it, with the
// path that it would save to; the result is whole on rank 0, and its file is gone.
CheckResult check_shared_folder(Communicator& world, const std::string& host,
                                const std::filesystem::path& directory, const std::string& name);

}  // namespace cloze
