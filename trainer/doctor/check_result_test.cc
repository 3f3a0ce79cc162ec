// Findings as text, as JSON, and on their way between ranks.
#include "trainer/doctor/check_result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace cloze {
namespace {

std::string text_of(Value value, const char* unit) {
  return value_text({.value = std::move(value), .unit = unit});
}

TEST(CheckResultTest, NumbersAreShownInStepsWithThreeDigits) {
  EXPECT_EQ(text_of(std::int64_t{0}, "bytes"), "0 bytes");
  EXPECT_EQ(text_of(std::int64_t{1023}, "bytes"), "1023 bytes");
  EXPECT_EQ(text_of(std::int64_t{1024}, "bytes"), "1.00 KiB");
  EXPECT_EQ(text_of(std::int64_t{25276510208}, "bytes"), "23.5 GiB");
  EXPECT_EQ(text_of(std::numeric_limits<std::int64_t>::max(), "bytes"), "8388608 TiB");
  EXPECT_EQ(text_of(1.349e9, "bytes/s"), "1.35 GB/s");
  EXPECT_EQ(text_of(12e6, "bytes/s"), "12.0 MB/s");
  EXPECT_EQ(text_of(58.13e9, "FLOP/s"), "58.1 GFLOP/s");
  EXPECT_EQ(text_of(0.25, "s"), "250 ms");
  EXPECT_EQ(text_of(1.5e-6, "s"), "1.50 us");
  EXPECT_EQ(text_of(2.5e-10, "s"), "0.25 ns");
  EXPECT_EQ(text_of(std::int64_t{600}, "s"), "600 s");
  EXPECT_EQ(text_of(-2.5e6, "us"), "-2.50 s");
  EXPECT_EQ(text_of(std::int64_t{1000000}, "files"), "1000000 files");
  EXPECT_EQ(text_of(1.5, "cores"), "1.5 cores");
  EXPECT_EQ(text_of(std::string("AVX2"), ""), "AVX2");
  EXPECT_EQ(text_of({}, "bytes"), "unknown");
  EXPECT_EQ(text_of(std::numeric_limits<double>::infinity(), "bytes/s"), "inf bytes/s");
}

TEST(CheckResultTest, ALineHasStatusNameValuePlaceDetailAndFix) {
  const CheckResult check{.name = "disk.write",
                          .status = Status::kWarn,
                          .value = 12e6,
                          .unit = "bytes/s",
                          .detail = "slow",
                          .fix = "use another"};
  EXPECT_EQ(line_of(check, "host b"),
            "warn  disk.write           12.0 MB/s [host b] | slow | fix: use another");
  EXPECT_EQ(line_of({.name = "gpu", .status = Status::kSkip}, ""),
            "skip  gpu                  unknown");
}

TEST(CheckResultTest, ALineStaysOneLine) {
  const std::string line = line_of({.name = "mpi.start", .detail = "first\nsecond\r\nthird"}, "");
  EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos) << line;
  EXPECT_NE(line.find("first second"), std::string::npos) << line;
}

TEST(CheckResultTest, AComplaintJoinsWhatIsToldAlready) {
  CheckResult check{.name = "disk.write", .detail = "64.0 MiB with fsync"};
  complain(check, Status::kWarn, "slow", "use another");
  EXPECT_EQ(check.status, Status::kWarn);
  EXPECT_EQ(check.detail, "64.0 MiB with fsync; slow");
  EXPECT_EQ(check.fix, "use another");
  CheckResult silent{.name = "disk.write"};
  complain(silent, Status::kFail, "slow", "");
  EXPECT_EQ(silent.status, Status::kFail);
  EXPECT_EQ(silent.detail, "slow");
}

TEST(CheckResultTest, JsonHasTheSixKeysInTheirOrder) {
  const auto json = json_of(CheckResult{.name = "shm.free",
                                        .status = Status::kFail,
                                        .value = std::int64_t{65536},
                                        .unit = "bytes",
                                        .detail = "small",
                                        .fix = "enlarge"});
  EXPECT_EQ(json.dump(),
            R"({"name":"shm.free","status":"fail","value":65536,"unit":"bytes","detail":"small",)"
            R"("fix":"enlarge"})");
  EXPECT_TRUE(json_of(unknown("cpu.model", "hidden"))["value"].is_null());
}

TEST(CheckResultTest, PackingLosesNothing) {
  const std::vector<Value> values = {{}, std::int64_t{1} << 60, 0.1, std::string("text \"x\"")};
  for (const Value& value : values) {
    for (const Scope scope : {Scope::kJob, Scope::kHost, Scope::kRank}) {
      const CheckResult check{.name = "a.b",
                              .status = Status::kFail,
                              .value = value,
                              .unit = "s",
                              .detail = "d",
                              .fix = "f",
                              .scope = scope};
      EXPECT_EQ(unpack(nlohmann::json::parse(pack(check).dump())), check);
    }
  }
}

}  // namespace
}  // namespace cloze
