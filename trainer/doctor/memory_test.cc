// Memory, huge pages and /dev/shm: texts of the kernel, and where warnings begin.
#include "trainer/doctor/memory.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

constexpr const char* kMeminfo =
    "MemTotal:       24684092 kB\nMemFree:        21987328 kB\nMemAvailable:   23606272 kB\n"
    "SwapTotal:             0 kB\nHugePages_Total:       0\nHugepagesize:       2048 kB\n";

TEST(MemoryTest, MeminfoIsReadInBytes) {
  const auto sizes = parse_meminfo(kMeminfo);
  EXPECT_EQ(sizes.at("MemTotal"), std::int64_t{24684092} * 1024);
  EXPECT_EQ(sizes.at("SwapTotal"), 0);
  EXPECT_FALSE(sizes.contains("HugePages_Total")) << "it is a count";
  EXPECT_TRUE(parse_meminfo("").empty());
  EXPECT_TRUE(parse_meminfo("MemTotal: lots kB\nMemFree:\n").empty());
}

TEST(MemoryTest, LittleMemoryForTheRanksIsWarnedOf) {
  const auto sizes = parse_meminfo(kMeminfo);
  EXPECT_EQ(check_memory(sizes, 4).status, Status::kOk);
  EXPECT_EQ(check_memory(sizes, 22).status, Status::kOk);
  EXPECT_EQ(check_memory(sizes, 23).status, Status::kWarn) << "22.5 GiB for 23 ranks";
  // Kernels before 3.14 have no MemAvailable.
  EXPECT_EQ(check_memory(parse_meminfo("MemTotal: 1024 kB\nMemFree: 512 kB\n"), 1).status,
            Status::kSkip);
}

TEST(MemoryTest, TheChosenSettingStandsInBrackets) {
  EXPECT_EQ(parse_chosen("always [madvise] never\n"), "madvise");
  EXPECT_EQ(parse_chosen("[always] madvise never\n"), "always");
  for (const char* bad : {"", "always madvise never", "[always", "]["}) {
    EXPECT_FALSE(parse_chosen(bad)) << bad;
  }
  EXPECT_EQ(check_huge_pages(parse_chosen("always madvise [never]")).status, Status::kWarn);
  EXPECT_EQ(check_huge_pages("madvise").status, Status::kOk);
  EXPECT_EQ(check_huge_pages({}).status, Status::kSkip);
}

TEST(MemoryTest, SharedMemoryMustHoldTheRanks) {
  const auto judge = [](std::int64_t free, int ranks) {
    return check_shared_memory(Space{.free_bytes = free, .total_bytes = free}, ranks).status;
  };
  EXPECT_EQ(judge(64 << 10, 1), Status::kFail) << "a tmpfs of 64 KiB";
  EXPECT_EQ(judge(64 * kMiB, 2), Status::kOk) << "Docker's default carries two ranks";
  EXPECT_EQ(judge(64 * kMiB, 8), Status::kWarn) << "hardly eight";
  EXPECT_EQ(judge(64 * kMiB, 64), Status::kFail) << "and not sixty-four";
  EXPECT_EQ(judge(12 * kGiB, 64), Status::kOk);
  const CheckResult absent = check_shared_memory({}, 1);
  EXPECT_EQ(absent.status, Status::kWarn);
  EXPECT_FALSE(absent.fix.empty());
}

}  // namespace
}  // namespace cloze
