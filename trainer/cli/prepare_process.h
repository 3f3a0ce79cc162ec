// Settings of the process that must stand before the first line of numerics.
#pragma once

namespace cloze {

// Makes MKL give a product the same bits whatever the number of threads (its conditional
// reproducibility mode), unless the user chose a mode. MKL reads that from the environment when
// it first runs.
void prepare_process();

}  // namespace cloze
