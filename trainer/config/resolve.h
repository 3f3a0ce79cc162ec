// From the keys that were written to all keys: preset, keys without effect, derived values,
// defaults.
#pragma once

#include "trainer/config/fill.h"

namespace cloze {

// Fills in what no source wrote. Afterwards a key of the Run is set if it has an effect and a
// value; reports unknown presets and keys without effect.
void resolve(Draft& draft);

}  // namespace cloze
