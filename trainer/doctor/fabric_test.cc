// What is said of measured times between ranks.
#include "trainer/doctor/fabric.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cloze {
namespace {

// Four ranks on two hosts, in a ring: 0-1 and 2-3 on one host, 1-2 and 3-0 between them.
FabricTimes two_hosts() {
  return {.hosts = {"a", "a", "b", "b"},
          .pairs = {{0, 1, 1e-6, 10e9}, {1, 2, 20e-6, 1e9}, {2, 3, 2e-6, 8e9}, {3, 0, 22e-6, 1e9}},
          .all_reduce_bytes = 4 << 20,
          .all_reduce_seconds = {3e-3, 2e-3, 9e-3},
          .clocks = {{}, {1e-6, 1e-6}, {-250e-6, 5e-6}, {40e-6, 5e-6}}};
}

CheckResult check_of(const FabricTimes& times, const std::string& name) {
  const std::vector<CheckResult> checks = check_fabric(times, 600);
  const auto found = std::ranges::find(checks, name, &CheckResult::name);
  if (found != checks.end()) return *found;
  ADD_FAILURE() << name;
  return {};
}

TEST(FabricTest, MinMedianMaxAndTheSlowestPairAreTold) {
  const CheckResult latency = check_of(two_hosts(), "fabric.latency");
  EXPECT_EQ(latency.status, Status::kOk);
  EXPECT_DOUBLE_EQ(std::get<double>(latency.value), 11e-6);  // The mean of 2 and 20 us.
  EXPECT_EQ(latency.detail, "min 1.00 us, median 11.0 us, max 22.0 us; slowest ranks 3-0 (b - a)");
  const CheckResult bandwidth = check_of(two_hosts(), "fabric.bandwidth");
  EXPECT_NE(bandwidth.detail.find("min 1.00 GB/s"), std::string::npos) << bandwidth.detail;
  EXPECT_NE(bandwidth.detail.find("slowest ranks 1-2 (a - b)"), std::string::npos);
  const CheckResult reduce = check_of(two_hosts(), "fabric.all_reduce");
  EXPECT_EQ(reduce.value, Value(3e-3));
  EXPECT_EQ(reduce.detail, "4.00 MiB over 4 ranks: min 2.00 ms, median 3.00 ms, max 9.00 ms");
  const CheckResult hosts = check_of(two_hosts(), "fabric.hosts");
  EXPECT_EQ(hosts.value, Value(std::string("4 ranks on 2 hosts")));
  EXPECT_EQ(hosts.detail, "neighbours on one host: 0-1, 2-3; on two: 1-2, 3-0");
}

TEST(FabricTest, APairFarSlowerThanItsKindIsWarnedOf) {
  FabricTimes times = two_hosts();
  times.hosts.assign(4, "a");
  times.pairs = {{0, 1, 1e-6, 10e9}, {1, 2, 1e-6, 10e9}, {2, 3, 15e-6, 2e9}, {3, 0, 1e-6, 9e9}};
  const CheckResult latency = check_of(times, "fabric.latency");
  EXPECT_EQ(latency.status, Status::kWarn);
  EXPECT_NE(latency.detail.find("slower than its kind: ranks 2-3 (a)"), std::string::npos)
      << latency.detail;
  EXPECT_EQ(check_of(times, "fabric.bandwidth").status, Status::kWarn);
  EXPECT_EQ(check_of(two_hosts(), "fabric.latency").status, Status::kOk)
      << "a network is not compared with memory";
}

TEST(FabricTest, AMessageGoesOneWayInHalfARoundTrip) {
  const PairTimes times = pair_times(2, 3, 8e-6, 4e-3, 4'000'000);
  EXPECT_EQ(times.first, 2);
  EXPECT_EQ(times.second, 3);
  EXPECT_DOUBLE_EQ(times.latency_seconds, 4e-6);
  EXPECT_DOUBLE_EQ(times.bytes_per_second, 2e9);
}

TEST(FabricTest, WaitingRanksThatSpinAndSlowNetworksAreWarnedOf) {
  FabricTimes times{.hosts = {"a", "a"},
                    .pairs = {{0, 1, 8e-3, 50e6}},
                    .all_reduce_bytes = 4 << 20,
                    .all_reduce_seconds = {0.5},
                    .clocks = {{}, {}}};
  EXPECT_EQ(check_of(times, "fabric.latency").status, Status::kWarn);
  EXPECT_NE(check_of(times, "fabric.latency").fix.find("scripts/mpirun"), std::string::npos);
  EXPECT_EQ(check_of(times, "fabric.bandwidth").status, Status::kWarn);
  EXPECT_EQ(check_of(times, "fabric.deadline").status, Status::kOk);
  times.hosts = {"a", "b"};
  EXPECT_NE(check_of(times, "fabric.latency").fix.find("btl_tcp_if_include"), std::string::npos);
  times.all_reduce_seconds = {7};
  EXPECT_EQ(check_of(times, "fabric.deadline").status, Status::kWarn) << "7 s of 600 for 4 MiB";
}

TEST(FabricTest, TheLargestSkewIsToldInMicrosecondsWithItsRank) {
  const CheckResult small = check_of(two_hosts(), "clock.skew");
  EXPECT_EQ(small.status, Status::kOk);
  EXPECT_EQ(small.unit, "us");
  EXPECT_DOUBLE_EQ(std::get<double>(small.value), -250);
  EXPECT_NE(small.detail.find("rank 2 on b"), std::string::npos) << small.detail;
  FabricTimes times = two_hosts();
  times.clocks[3].seconds = 1.5;
  const CheckResult large = check_of(times, "clock.skew");
  EXPECT_EQ(large.status, Status::kWarn);
  EXPECT_EQ(large.value, Value(1.5e6));
  times.clocks[3].seconds = -0.9;
  EXPECT_EQ(check_of(times, "clock.skew").status, Status::kOk);
}

TEST(FabricTest, AProcessThatIsAloneLearnsHowItIsMeasured) {
  const std::vector<CheckResult> checks = skip_fabric();
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_EQ(checks[0].status, Status::kSkip);
  EXPECT_NE(checks[0].detail.find("mpirun -n 2 cloze doctor"), std::string::npos);
}

}  // namespace
}  // namespace cloze
