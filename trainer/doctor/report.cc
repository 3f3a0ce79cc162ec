#include "trainer/doctor/report.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/doctor/cpu.h"

namespace cloze {
namespace {

constexpr std::array<std::string_view, 12> kGroups = {"cpu",    "memory", "cgroup", "limit",
                                                      "shm",    "disk",   "mpi",    "gpu",
                                                      "fabric", "clock",  "locale", "alike"};

std::size_t group_of(const CheckResult& check) {
  const std::string_view group = std::string_view(check.name).substr(0, check.name.find('.'));
  return static_cast<std::size_t>(std::ranges::find(kGroups, group) - kGroups.begin());
}

// What hosts of one job should have in common, and what it costs when they have not.
struct Alike {
  const char* name;
  const char* of;  // The check whose value must be the same.
  Status status;
  const char* detail;
  const char* fix;
};
constexpr std::array kAlike = {
    Alike{"alike.kernels", "cpu.kernels", Status::kWarn,
          "matrix products differ in their last bits between these hosts, so a run's bits depend "
          "on which rank is where",
          "use hosts of one kind, or set MKL_CBWR=AVX2,STRICT on all"},
    Alike{"alike.cpu", "cpu.model", Status::kWarn, "every step waits for the slowest host",
          "use hosts of one kind"},
    Alike{"alike.mpi", "mpi.library", Status::kFail,
          "ranks of different MPI versions may not understand each other",
          "install one version of MPI on all hosts"},
};

struct Group {
  CheckResult check;
  std::vector<int> ranks;
  std::vector<std::string> hosts;
};

// The findings of one name, equal ones together.
struct Named {
  std::vector<Group> groups;
  std::size_t reporters = 0;
  std::set<int> ranks;
  std::set<std::string> hosts;
};

std::string names_text(std::vector<std::string> names) {
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  return join(names);
}

// A rank may have more than one finding of a name, of each of its GPUs.
std::string where_of(const Group& group, const Named& named) {
  const bool is_of_ranks = group.check.scope == Scope::kRank;
  if (is_of_ranks ? std::set(group.ranks.begin(), group.ranks.end()) == named.ranks
                  : std::set(group.hosts.begin(), group.hosts.end()) == named.hosts) {
    return "";
  }
  if (is_of_ranks) {
    return str(rank_list_text(group.ranks), " on ", names_text(group.hosts));
  }
  return names_text(group.hosts);
}

void add_alike(const std::map<std::string, Named>& named, std::vector<Finding>& findings) {
  for (const Alike& rule : kAlike) {
    const auto found = named.find(rule.of);
    if (found == named.end() || found->second.reporters < 2) continue;
    std::map<std::string, std::vector<std::string>> holders;
    for (const Group& group : found->second.groups) {
      auto& hosts = holders[value_text(group.check)];
      hosts.insert(hosts.end(), group.hosts.begin(), group.hosts.end());
    }
    CheckResult check{.name = rule.name, .scope = Scope::kJob};
    if (holders.size() == 1) {
      check.value = holders.begin()->first;
      check.detail = "on all hosts";
    } else {
      std::string text;
      for (const auto& [value, hosts] : holders) {
        text += str(text.empty() ? "" : "; ", value, " on ", names_text(hosts));
      }
      check.value = text;
      complain(check, rule.status, rule.detail, rule.fix);
    }
    findings.push_back({.check = check});
  }
}

}  // namespace

std::string pack(const RankChecks& checks) {
  nlohmann::json json = {{"rank", checks.rank}, {"host", checks.host}};
  json["checks"] = nlohmann::json::array();
  for (const CheckResult& check : checks.checks) json["checks"].push_back(pack(check));
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankChecks unpack_rank(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  RankChecks checks{.rank = json.at("rank").get<int>(), .host = json.at("host")};
  for (const nlohmann::json& packed : json.at("checks")) checks.checks.push_back(unpack(packed));
  return checks;
}

std::vector<Finding> merge(const std::vector<RankChecks>& ranks) {
  std::map<std::string, Named> named;
  std::vector<std::string> order;
  for (const RankChecks& reporter : ranks) {
    for (const CheckResult& check : reporter.checks) {
      if (!named.contains(check.name)) order.push_back(check.name);
      Named& same = named[check.name];
      ++same.reporters;
      same.ranks.insert(reporter.rank);
      same.hosts.insert(reporter.host);
      auto group = std::ranges::find(same.groups, check, &Group::check);
      if (group == same.groups.end()) {
        same.groups.push_back({.check = check, .ranks = {}, .hosts = {}});
        group = same.groups.end() - 1;
      }
      group->ranks.push_back(reporter.rank);
      group->hosts.push_back(reporter.host);
    }
  }
  std::vector<Finding> findings;
  for (const std::string& name : order) {
    for (const Group& group : named[name].groups) {
      findings.push_back({.check = group.check, .where = where_of(group, named[name])});
    }
  }
  add_alike(named, findings);
  std::ranges::stable_sort(findings, {},
                           [](const Finding& finding) { return group_of(finding.check); });
  return findings;
}

int count_of(const std::vector<Finding>& findings, Status status) {
  return static_cast<int>(
      std::ranges::count(findings, status, [](const Finding& each) { return each.check.status; }));
}

std::vector<std::string> report_lines(const std::vector<Finding>& findings) {
  constexpr int kShown = 4;
  std::map<std::string, int> fine;
  for (const Finding& finding : findings) {
    if (finding.check.status == Status::kOk) ++fine[finding.check.name];
  }
  std::map<std::string, int> told;
  std::vector<std::string> lines;
  for (const Finding& finding : findings) {
    const CheckResult& check = finding.check;
    if (check.status == Status::kOk && ++told[check.name] > kShown) {
      if (told[check.name] == fine[check.name]) {
        lines.push_back(line_of({.name = check.name,
                                 .value = str("and ", fine[check.name] - kShown, " more"),
                                 .detail = "all ok; --json shows each"},
                                ""));
      }
      continue;
    }
    lines.push_back(line_of(check, finding.where));
  }
  return lines;
}

std::string tally_text(const std::vector<Finding>& findings) {
  const int warnings = count_of(findings, Status::kWarn);
  return str(count_of(findings, Status::kOk), " ok, ", count_of(findings, Status::kSkip),
             " skipped, ", warnings, warnings == 1 ? " warning, " : " warnings, ",
             count_of(findings, Status::kFail), " failed");
}

nlohmann::ordered_json report_json(const std::vector<Finding>& findings) {
  nlohmann::ordered_json json;
  json["checks"] = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    nlohmann::ordered_json check = json_of(finding.check);
    check["where"] = finding.where;
    json["checks"].push_back(std::move(check));
  }
  for (const Status status : {Status::kOk, Status::kSkip, Status::kWarn, Status::kFail}) {
    json[std::string(name_of(status))] = count_of(findings, status);
  }
  return json;
}

}  // namespace cloze
