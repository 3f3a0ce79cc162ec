// /proc/self/limits, and which limits stop a run.
#include "trainer/doctor/limits.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

std::string text_with(const char* files, const char* locked, const char* size) {
  char text[2048];
  std::snprintf(text, sizeof text,
                "Limit                     Soft Limit           Hard Limit           Units     \n"
                "Max cpu time              unlimited            unlimited            seconds   \n"
                "Max file size             %-20s unlimited            bytes     \n"
                "Max core file size        0                    unlimited            bytes     \n"
                "Max processes             96365                96365                processes \n"
                "Max open files            %-20s 1048576              files     \n"
                "Max locked memory         %-20s %-20s bytes     \n"
                "Max nice priority         0                    0                    \n"
                "Max realtime timeout      unlimited            unlimited            us        \n",
                size, files, locked, locked);
  return text;
}

CheckResult check_of(const std::string& name, const std::map<std::string, Limit>& limits,
                     int world_size = 1, bool rdma = false) {
  for (CheckResult& check : check_limits(limits, world_size, rdma)) {
    if (check.name == name) return check;
  }
  ADD_FAILURE() << name;
  return {};
}

TEST(LimitsTest, TheTableOfTheKernelIsRead) {
  const auto limits = parse_limits(text_with("1024", "8388608", "unlimited"));
  EXPECT_EQ(limits.at("Max open files"), (Limit{1024, 1048576}));
  EXPECT_EQ(limits.at("Max cpu time"), (Limit{}));
  EXPECT_EQ(limits.at("Max core file size"), (Limit{0, {}}));
  EXPECT_EQ(limits.at("Max nice priority"), (Limit{0, 0}));
  EXPECT_EQ(limits.size(), 8U) << "the heading is no limit";
}

TEST(LimitsTest, AbsentTextIsUnknown) {
  for (const CheckResult& check : check_limits(parse_limits(""), 1, true)) {
    EXPECT_EQ(check.status, Status::kSkip) << check.name;
  }
  EXPECT_TRUE(parse_limits("Max open files\nMax  x y\n\n").empty());
}

TEST(LimitsTest, FewOpenFilesWarnAndTooFewFail) {
  const auto status = [](const char* files, int ranks) {
    return check_of("limit.open_files", parse_limits(text_with(files, "1", "1")), ranks).status;
  };
  EXPECT_EQ(status("unlimited", 1000), Status::kOk);
  EXPECT_EQ(status("1024", 1), Status::kOk);
  EXPECT_EQ(status("1023", 1), Status::kWarn);
  EXPECT_EQ(status("100", 1), Status::kFail);
  EXPECT_EQ(status("1024", 1000), Status::kFail) << "a socket to every rank";
  const CheckResult few = check_of("limit.open_files", parse_limits(text_with("100", "1", "1")));
  EXPECT_NE(few.fix.find("ulimit -n"), std::string::npos);
}

TEST(LimitsTest, LockedMemoryMattersWithInfiniBand) {
  const auto tight = parse_limits(text_with("1024", "65536", "unlimited"));
  EXPECT_EQ(check_of("limit.locked_memory", tight, 1, false).status, Status::kOk);
  EXPECT_EQ(check_of("limit.locked_memory", tight, 1, true).status, Status::kWarn);
  const auto open = parse_limits(text_with("1024", "unlimited", "unlimited"));
  EXPECT_EQ(check_of("limit.locked_memory", open, 1, true).status, Status::kOk);
}

TEST(LimitsTest, ALimitOfFileSizeIsWarnedOf) {
  EXPECT_EQ(check_of("limit.file_size", parse_limits(text_with("1", "1", "unlimited"))).status,
            Status::kOk);
  const CheckResult small = check_of("limit.file_size", parse_limits(text_with("1", "1", "1024")));
  EXPECT_EQ(small.status, Status::kWarn);
  EXPECT_EQ(value_text(small), "1.00 KiB");
}

TEST(LimitsTest, CoreFilesAndProcessesAreShown) {
  const auto limits = parse_limits(text_with("1024", "1", "1"));
  EXPECT_EQ(check_of("limit.core_size", limits).detail, "a crash leaves no core file");
  EXPECT_EQ(check_of("limit.core_size", limits).status, Status::kOk);
  EXPECT_EQ(value_text(check_of("limit.processes", limits)), "96365 threads");
  auto few = limits;
  few["Max processes"] = {100, 100};
  EXPECT_EQ(check_of("limit.processes", few).status, Status::kWarn);
}

}  // namespace
}  // namespace cloze
