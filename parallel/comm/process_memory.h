// Whether ranks of one host may copy out of each other's memory.
#pragma once

namespace cloze {

// Tries process_vm_readv from a child, as Open MPI's shared-memory transport uses it: one copy
// instead of two, and no work for the sender, which may compute meanwhile. Containers forbid it
// at times. Call it while this process has one thread.
bool can_read_other_processes();

}  // namespace cloze
