// Binding and load of the cores of a host: what mpirun's defaults do, and what is right.
#include "trainer/doctor/cores.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

RankPlace place(int rank, const char* host, std::vector<int> cores, int threads, int host_cores) {
  return {.rank = rank,
          .host = host,
          .cores = std::move(cores),
          .threads = threads,
          .host_cores = host_cores};
}

CheckResult load(const std::vector<RankPlace>& places) {
  std::vector<std::string> hosts;
  const std::vector<CheckResult> checks = check_load(places, hosts);
  EXPECT_EQ(checks.size(), 1U);
  return checks.front();
}

TEST(CoresTest, TheMaskIsReadFromStatus) {
  EXPECT_EQ(parse_allowed_cores("Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n"),
            (std::vector<int>{0, 1}));
  EXPECT_FALSE(parse_allowed_cores("Name:\tx\n"));
  EXPECT_FALSE(parse_allowed_cores(""));
  ASSERT_TRUE(allowed_cores());
  EXPECT_GE(allowed_cores()->size(), 1U);
}

TEST(CoresTest, ARankBoundToOneCoreWithTwoThreadsIsWarnedOf) {
  const CheckResult bound = check_binding(place(0, "a", {1}, 2, 2));
  EXPECT_EQ(bound.status, Status::kWarn);
  EXPECT_EQ(bound.value, Value(std::string("2 threads on 1 core (1)")));
  EXPECT_NE(bound.fix.find("--bind-to none"), std::string::npos);
  EXPECT_NE(bound.fix.find("PE=2"), std::string::npos);
  EXPECT_NE(bound.fix.find("OMP_NUM_THREADS=1"), std::string::npos);
  EXPECT_EQ(check_binding(place(0, "a", {0, 1}, 2, 2)).status, Status::kOk);
  EXPECT_EQ(check_binding(place(0, "a", {}, 2, 2)).status, Status::kSkip);
}

TEST(CoresTest, RanksThatShareACoreAreNamed) {
  // Bound to one core by hand, or more ranks than cores.
  const CheckResult shared =
      load({place(0, "a", {0}, 1, 4), place(1, "a", {0}, 1, 4), place(2, "a", {1}, 1, 4)});
  EXPECT_EQ(shared.status, Status::kWarn);
  EXPECT_NE(shared.detail.find("ranks 0-1 share core 0 with 2 threads"), std::string::npos)
      << shared.detail;
  const CheckResult crowded = load({place(0, "a", {0, 1}, 2, 2), place(1, "a", {0, 1}, 2, 2)});
  EXPECT_EQ(crowded.status, Status::kWarn);
  EXPECT_NE(crowded.fix.find("OMP_NUM_THREADS=1"), std::string::npos) << crowded.fix;
}

TEST(CoresTest, CoresThatBindingClosesAreWarnedOf) {
  const CheckResult closed = load({place(0, "a", {0}, 1, 8), place(1, "a", {1}, 1, 8)});
  EXPECT_EQ(closed.status, Status::kWarn);
  EXPECT_NE(closed.detail.find("6 of the host's 8 cores"), std::string::npos) << closed.detail;
}

TEST(CoresTest, ALayoutThatFitsIsFine) {
  EXPECT_EQ(load({place(0, "a", {0, 1}, 1, 2), place(1, "a", {0, 1}, 1, 2)}).status, Status::kOk);
  EXPECT_EQ(load({place(0, "a", {0, 1}, 2, 4), place(1, "a", {2, 3}, 2, 4)}).status, Status::kOk);
  const CheckResult idle = load({place(0, "a", {0, 1, 2, 3}, 1, 4)});
  EXPECT_EQ(idle.status, Status::kOk);
  EXPECT_EQ(idle.detail, "3 cores idle");
  EXPECT_EQ(load({place(0, "a", {}, 1, 0)}).status, Status::kSkip);
}

TEST(CoresTest, HostsAreJudgedApart) {
  std::vector<std::string> hosts;
  const std::vector<CheckResult> checks = check_load(
      {place(0, "a", {0}, 1, 1), place(1, "b", {0}, 1, 1), place(2, "b", {0}, 1, 1)}, hosts);
  EXPECT_EQ(hosts, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(checks.size(), 2U);
  EXPECT_EQ(checks[0].status, Status::kOk);
  EXPECT_EQ(checks[1].status, Status::kWarn);
}

TEST(CoresTest, APlaceTravelsBetweenRanks) {
  const RankPlace there = place(3, "node-7", {0, 64}, 2, 128);
  const RankPlace back = unpack_place(pack(there));
  EXPECT_EQ(back.rank, 3);
  EXPECT_EQ(back.host, "node-7");
  EXPECT_EQ(back.cores, there.cores);
  EXPECT_EQ(back.threads, 2);
  EXPECT_EQ(back.host_cores, 128);
}

}  // namespace
}  // namespace cloze
