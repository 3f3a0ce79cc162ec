// The host's clock and the user's locale: logs and traces of ranks are ordered by the first.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

using WallTime = std::chrono::system_clock::time_point;

// Whether `now` can be right: not before `built`, when this program was made, nor in 2100.
// `synchronised`: whether the kernel says that a time service steers it; nothing when it is mute.
CheckResult check_clock(WallTime now, WallTime built, std::optional<bool> synchronised);

// "UTC+01:00 CET" of seconds east of Greenwich.
std::string zone_text(long seconds_east, std::string_view name);

// `loaded`: the locale that the environment asks for exists. `codeset`: its encoding.
CheckResult check_locale(bool loaded, std::string_view codeset);

// clock.time, clock.zone and locale of this host.
std::vector<CheckResult> check_clock_and_locale();

}  // namespace cloze
