// The findings of all ranks as one report: equal ones told once, with the hosts or ranks they hold
// for; as lines, as JSON, as an exit code.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

// What one rank found. A host's own checks come from one of its ranks.
struct RankChecks {
  int rank = 0;
  std::string host{};
  std::vector<CheckResult> checks{};
};

std::string pack(const RankChecks& checks);
RankChecks unpack_rank(const std::string& text);

struct Finding {
  CheckResult check{};
  std::string where{};  // "host a, host b", "ranks 0-3"; empty: everywhere.

  bool operator==(const Finding&) const = default;
};

// In the order of the groups of names: cpu, memory, limit, disk, mpi, fabric, ... Adds findings of
// what must be alike on all hosts: instruction set, CPU, MPI.
std::vector<Finding> merge(const std::vector<RankChecks>& ranks);

int count_of(const std::vector<Finding>& findings, Status status);

// A line each. Of a check that is ok on many hosts with a value of each, the first few.
std::vector<std::string> report_lines(const std::vector<Finding>& findings);
// "31 ok, 2 skipped, 1 warning, 0 failed".
std::string tally_text(const std::vector<Finding>& findings);
// {checks: [{name, status, value, unit, detail, fix, where}], ok, skip, warn, fail}.
nlohmann::ordered_json report_json(const std::vector<Finding>& findings);

}  // namespace cloze
