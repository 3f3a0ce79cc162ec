// What `cloze inspect` can show. Each function lives in its own inspect_<what>.cc.
#pragma once

#include <cstdint>
#include <iosfwd>

#include "configs/schema/run.pb.h"

namespace cloze {

// The training samples of a resolved config: `count` of them from the first piece of row `first`
// on, one JSON object a line. They are cut out of the batches that training builds.
void inspect_samples(const config::Run& run, std::int64_t first, std::int64_t count,
                     std::ostream& out);

}  // namespace cloze
