#include "trainer/loop/compute_device.h"

#include "parallel/base/check.h"
#include "trainer/loop/agreement.h"

namespace cloze {

ComputeDevice cpu_device(const config::Run& run, Communicator& world) {
  const config::Precision::Products wanted = run.precision().products();
  together(world, [&] {
    CLOZE_REQUIRE(wanted != config::Precision::tiles || has_tile_unit(), ExitCode::kUsage,
                  "precision.products is tiles, but this processor has no tile unit for "
                  "bfloat16 (AMX), or the system keeps it from this program",
                  "leave it at auto, or train on processors that have it");
  });
  const bool on_tiles = wanted != config::Precision::library && has_tile_unit() &&
                        run.precision().compute() != config::Precision::fp64;
  return {.kernels = on_tiles ? cpu_kernels_on_tiles() : cpu_kernels()};
}

std::map<std::string, std::string> numerics_of(const ComputeDevice& device) {
  return {{"products", device.kernels.uses_tiles ? "tiles" : "library"}};
}

}  // namespace cloze
