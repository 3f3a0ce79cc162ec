#include "trainer/loop/compute_device.h"

#include "parallel/base/check.h"
#include "trainer/loop/agreement.h"

namespace cloze {

ComputeDevice cpu_device(const config::Run& run, Communicator& world) {
  const bool wants_tiles = run.precision().products() == config::Precision::tiles;
  together(world, [&] {
    CLOZE_REQUIRE(!wants_tiles || has_tile_unit(), ExitCode::kUsage,
                  "precision.products is tiles, but this processor has no tile unit for "
                  "bfloat16 (AMX), or the system keeps it from this program",
                  "leave it at library, or train on processors that have it");
  });
  return {.kernels = wants_tiles ? cpu_kernels_on_tiles() : cpu_kernels()};
}

std::map<std::string, std::string> numerics_of(const ComputeDevice& device) {
  return {{"products", device.kernels.uses_tiles ? "tiles" : "library"}};
}

}  // namespace cloze
