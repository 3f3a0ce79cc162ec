// What `cloze inspect` can show. Each function lives in its own inspect_<what>.cc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "configs/schema/run.pb.h"

namespace cloze {

struct InspectOptions {
  bool json = false;    // One JSON object, and not lines for people.
  bool verify = false;  // Read all bytes and compare them with their digests.
};

// One line a key, or one JSON object; keys in their order.
void print_inspected(const nlohmann::ordered_json& object, const InspectOptions& options,
                     std::ostream& out);

// A tokenized shard pair: PREFIX, PREFIX.idx or PREFIX.bin.
void inspect_shards(const std::filesystem::path& prefix, const InspectOptions& options,
                    std::ostream& out);

// A checkpoint: a step folder, RUN/checkpoints or RUN. With `verify` every byte is read, and the
// digest of each tensor, the same whatever the layout, is shown.
void inspect_checkpoint(const std::filesystem::path& path, const InspectOptions& options,
                        std::ostream& out);

// A Hugging Face folder of a model that we know. With `verify` every byte is read, and the numbers
// that are not finite are counted.
void inspect_folder(const std::filesystem::path& path, const InspectOptions& options,
                    std::ostream& out);

// The training samples of a resolved config: `count` of them from the first piece of row `first`
// on, one JSON object a line. They are cut out of the batches that training builds.
void inspect_samples(const config::Run& run, std::int64_t first, std::int64_t count,
                     std::ostream& out);

}  // namespace cloze
