// Findings of many ranks, told once each.
#include "trainer/doctor/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cloze {
namespace {

CheckResult host_check(const char* name, const char* value, Status status = Status::kOk) {
  return {.name = name, .status = status, .value = std::string(value)};
}
CheckResult rank_check(const char* name, const char* value) {
  return {.name = name, .value = std::string(value), .scope = Scope::kRank};
}

std::vector<std::pair<std::string, std::string>> places_of(const std::vector<Finding>& findings,
                                                           const std::string& name) {
  std::vector<std::pair<std::string, std::string>> places;
  for (const Finding& finding : findings) {
    if (finding.check.name == name) {
      places.emplace_back(value_text(finding.check), finding.where);
    }
  }
  return places;
}
using Places = std::vector<std::pair<std::string, std::string>>;

TEST(ReportTest, WhatHoldsEverywhereIsToldOnceWithoutAPlace) {
  const auto findings =
      merge({{0, "a", {host_check("gpu", "none"), rank_check("cpu.binding", "x")}},
             {1, "a", {rank_check("cpu.binding", "x")}},
             {2, "b", {host_check("gpu", "none")}},
             {3, "b", {rank_check("cpu.binding", "x")}}});
  EXPECT_EQ(places_of(findings, "gpu"), (Places{{"none", ""}}));
  EXPECT_EQ(places_of(findings, "cpu.binding"), (Places{{"x", ""}}));
}

TEST(ReportTest, WhatDiffersIsToldWithItsHostsOrRanks) {
  const auto findings =
      merge({{0, "a", {host_check("gpu", "none"), rank_check("cpu.binding", "x")}},
             {1, "a", {rank_check("cpu.binding", "y")}},
             {2, "a", {rank_check("cpu.binding", "x")}},
             {3, "b", {host_check("gpu", "1"), rank_check("cpu.binding", "x")}},
             {4, "c", {host_check("gpu", "none")}}});
  EXPECT_EQ(places_of(findings, "gpu"), (Places{{"none", "a, c"}, {"1", "b"}}));
  EXPECT_EQ(places_of(findings, "cpu.binding"),
            (Places{{"x", "ranks 0,2-3 on a, b"}, {"y", "rank 1 on a"}}));
}

TEST(ReportTest, WhatARankHasTwoOfIsToldTwice) {
  const auto alone =
      merge({{0, "a", {rank_check("gpu.device", "x"), rank_check("gpu.device", "y")}}});
  EXPECT_EQ(places_of(alone, "gpu.device"), (Places{{"x", ""}, {"y", ""}}));
  const auto both = merge({{0, "a", {rank_check("gpu.device", "x"), rank_check("gpu.device", "y")}},
                           {1, "a", {rank_check("gpu.device", "x"), rank_check("gpu.device", "y")}},
                           {2, "b", {rank_check("gpu.device", "z")}}});
  EXPECT_EQ(places_of(both, "gpu.device"),
            (Places{{"x", "ranks 0-1 on a"}, {"y", "ranks 0-1 on a"}, {"z", "rank 2 on b"}}));
}

TEST(ReportTest, HostsOfDifferentKindsAreWarnedOf) {
  const auto host = [](const char* kernels, const char* mpi) {
    return std::vector<CheckResult>{host_check("cpu.kernels", kernels),
                                    host_check("cpu.model", "EPYC"),
                                    host_check("mpi.library", mpi)};
  };
  const auto findings = merge({{0, "a", host("AVX-512", "Open MPI 4.1.4")},
                               {1, "b", host("AVX2", "Open MPI 4.1.4")},
                               {2, "c", host("AVX-512", "Open MPI 5.0.7")}});
  const auto status = [&](const char* name) {
    return std::ranges::find(findings, name, [](const Finding& f) { return f.check.name; })
        ->check.status;
  };
  EXPECT_EQ(status("alike.kernels"), Status::kWarn);
  EXPECT_EQ(status("alike.cpu"), Status::kOk);
  EXPECT_EQ(status("alike.mpi"), Status::kFail);
  EXPECT_EQ(places_of(findings, "alike.kernels"), (Places{{"AVX-512 on a, c; AVX2 on b", ""}}));
  EXPECT_TRUE(places_of(merge({{0, "a", host("AVX2", "x")}}), "alike.kernels").empty())
      << "one host is like itself";
}

TEST(ReportTest, GroupsStandInTheirOrder) {
  const auto findings = merge(
      {{0,
        "a",
        {host_check("locale", "UTF-8"), host_check("disk.write", "1"), host_check("cpu.model", "x"),
         host_check("disk.sync", "2"), host_check("other", "last")}}});
  std::vector<std::string> names;
  for (const Finding& finding : findings) names.push_back(finding.check.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"cpu.model", "disk.write", "disk.sync", "locale", "other"}));
}

TEST(ReportTest, ManyFineHostsAreFoldedButNoWarningIs) {
  std::vector<RankChecks> ranks;
  for (int rank = 0; rank < 20; ++rank) {
    const std::string value = std::to_string(rank);
    ranks.push_back({rank,
                     "host" + value,
                     {host_check("disk.write", value.c_str()),
                      host_check("shm.free", value.c_str(), Status::kWarn)}});
  }
  const auto findings = merge(ranks);
  const std::vector<std::string> lines = report_lines(findings);
  const auto count = [&](const char* part) {
    return std::ranges::count_if(
        lines, [&](const std::string& line) { return line.find(part) != std::string::npos; });
  };
  EXPECT_EQ(count("disk.write"), 5);
  EXPECT_EQ(count("and 16 more"), 1);
  EXPECT_EQ(count("shm.free"), 20);
  EXPECT_EQ(report_json(findings)["checks"].size(), 40U) << "JSON has all";
}

TEST(ReportTest, TheTallyCountsEveryStatus) {
  const auto findings =
      merge({{0,
              "a",
              {host_check("cpu.model", "x"), host_check("gpu", "none", Status::kSkip),
               host_check("shm.free", "1", Status::kFail),
               host_check("disk.free", "1", Status::kWarn)}}});
  EXPECT_EQ(tally_text(findings), "1 ok, 1 skipped, 1 warning, 1 failed");
  const auto json = report_json(findings);
  EXPECT_EQ(json["ok"], 1);
  EXPECT_EQ(json["skip"], 1);
  EXPECT_EQ(json["warn"], 1);
  EXPECT_EQ(json["fail"], 1);
  EXPECT_EQ(json["checks"][0]["where"], "");
}

TEST(ReportTest, ChecksTravelBetweenRanks) {
  const RankChecks there{3, "b", {host_check("cpu.model", "x"), rank_check("cpu.binding", "\xff")}};
  const RankChecks back = unpack_rank(pack(there));
  EXPECT_EQ(back.rank, 3);
  EXPECT_EQ(back.host, "b");
  ASSERT_EQ(back.checks.size(), 2U);
  EXPECT_EQ(back.checks[0], there.checks[0]);
  EXPECT_EQ(back.checks[1].scope, Scope::kRank);
}

}  // namespace
}  // namespace cloze
