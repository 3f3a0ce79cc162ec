// The one line a failed job ends with.
#pragma once

#include <string_view>

#include "parallel/base/check.h"

namespace cloze {

// FATAL rank=R host=H step=S phase=P code=C what=... fix=..., on stderr. `step` is -1 where the
// error came before or after the steps.
void report_error(const Error& error, int rank, std::string_view phase, long long step = -1);

}  // namespace cloze
