// Clocks that cannot be right, zones, locales.
#include "trainer/doctor/clock.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

WallTime at(std::time_t seconds) { return std::chrono::system_clock::from_time_t(seconds); }

TEST(ClockTest, AClockBeforeTheProgramIsWarnedOf) {
  constexpr std::time_t kBuilt = 1772366400;  // 2026-03-01T12:00:00Z.
  EXPECT_EQ(check_clock(at(0), at(kBuilt), true).status, Status::kWarn);
  EXPECT_EQ(check_clock(at(kBuilt - 100000), at(kBuilt), true).status, Status::kWarn);
  EXPECT_EQ(check_clock(at(kBuilt - 3600), at(kBuilt), true).status, Status::kOk)
      << "an archive may be an hour ahead";
  EXPECT_EQ(check_clock(at(5000000000), at(kBuilt), true).status, Status::kWarn) << "year 2128";
  const CheckResult fine = check_clock(at(kBuilt), at(kBuilt), false);
  EXPECT_EQ(fine.status, Status::kOk);
  EXPECT_EQ(fine.value, Value(std::string("2026-03-01T12:00:00Z")));
  EXPECT_NE(fine.detail.find("no time service"), std::string::npos);
  EXPECT_EQ(check_clock(at(kBuilt), at(kBuilt), {}).detail, "");
}

TEST(ClockTest, ZonesAreShownWithTheirOffset) {
  EXPECT_EQ(zone_text(0, "UTC"), "UTC+00:00 UTC");
  EXPECT_EQ(zone_text(19800, "IST"), "UTC+05:30 IST");
  EXPECT_EQ(zone_text(-12600, ""), "UTC-03:30");
}

TEST(ClockTest, LocalesThatGarbleTextAreWarnedOf) {
  EXPECT_EQ(check_locale(true, "UTF-8").status, Status::kOk);
  EXPECT_EQ(check_locale(true, "ANSI_X3.4-1968").status, Status::kWarn);
  EXPECT_EQ(check_locale(false, "").status, Status::kWarn);
}

TEST(ClockTest, ThisHostHasAllThree) {
  const std::vector<CheckResult> checks = check_clock_and_locale();
  ASSERT_EQ(checks.size(), 3U);
  EXPECT_EQ(checks[0].name, "clock.time");
  EXPECT_EQ(checks[1].name, "clock.zone");
  EXPECT_EQ(checks[2].name, "locale");
}

}  // namespace
}  // namespace cloze
