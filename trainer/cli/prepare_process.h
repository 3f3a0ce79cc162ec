// Settings of the process that must stand before everything else.
#pragma once

namespace cloze {

// Makes MKL give a product the same bits whatever the number of threads (its conditional
// reproducibility mode), unless the user chose a mode. MKL reads that from the environment when
// it first runs.
//
// A write beyond the limit of a file's size becomes an error like that of a full device, instead
// of a signal that ends the process.
void prepare_process();

}  // namespace cloze
