// Accelerators are told of, devices that are none are not.
#include "trainer/doctor/devices.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cloze {
namespace {

TEST(DevicesTest, OnlyNumberedDevicesAndKfdAreAccelerators) {
  EXPECT_EQ(accelerators_of({"nvidia1", "null", "nvidiactl", "nvidia0", "nvidia-uvm", "kfd",
                             "davinci0", "davinci_manager", "nvidia"}),
            (std::vector<std::string>{"davinci0", "kfd", "nvidia0", "nvidia1"}));
  EXPECT_TRUE(accelerators_of({}).empty());
}

TEST(DevicesTest, AnAcceleratorThatIsNotUsedIsWarnedOf) {
  const std::vector<CheckResult> with = check_accelerators({"nvidia0", "nvidia1"});
  ASSERT_EQ(with.size(), 2U);
  EXPECT_EQ(with[0].status, Status::kWarn);
  EXPECT_EQ(value_text(with[0]), "2 accelerators");
  EXPECT_NE(with[0].detail.find("nvidia0, nvidia1"), std::string::npos);
  EXPECT_EQ(with[1].name, "gpu.nccl");
  EXPECT_EQ(with[1].status, Status::kSkip);
  EXPECT_EQ(check_accelerators({})[0].status, Status::kSkip);
}

TEST(DevicesTest, NamesOfAFolderAreReadAndOfNoneAreNone) {
  const std::vector<std::string> names = names_in("/dev");
  EXPECT_NE(std::ranges::find(names, "null"), names.end());
  EXPECT_TRUE(names_in("/no/such/folder").empty());
}

}  // namespace
}  // namespace cloze
