// Which clock Trace::now() reads.
#pragma once

#include <cstdint>

namespace cloze {

// The same for processes whose clocks show the same: those of one boot of one kernel, in time
// namespaces of equal offsets (containers may have their own). 0 when that cannot be told.
std::uint64_t host_clock_id();

}  // namespace cloze
