// Which cores a rank may use, how many threads it runs on them, and what ranks of a host do to
// each other's cores.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// The cores in this process's affinity mask; nothing where it cannot be seen.
std::optional<std::vector<int>> allowed_cores();
// The same of the text of /proc/self/status.
std::optional<std::vector<int>> parse_allowed_cores(std::string_view status);

// Where one rank runs.
struct RankPlace {
  int rank = 0;
  std::string host{};
  std::vector<int> cores{};  // Of its affinity mask; empty when unknown.
  int threads = 1;
  int host_cores = 0;  // Online on the host and open to the container; 0 when unknown.
};

std::string pack(const RankPlace& place);
RankPlace unpack_place(const std::string& text);

// A rank with more threads than cores: mpirun binds each of one or two ranks to one core.
CheckResult check_binding(const RankPlace& place);

// One finding for each host, of the ranks it carries: cores shared by more threads than there are,
// or left idle. In order of the hosts' first ranks; `hosts` receives their names.
std::vector<CheckResult> check_load(const std::vector<RankPlace>& places,
                                    std::vector<std::string>& hosts);

}  // namespace cloze
