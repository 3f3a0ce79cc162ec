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

TEST(DevicesTest, NamesOfAFolderAreReadAndOfNoneAreNone) {
  const std::vector<std::string> names = names_in("/dev");
  EXPECT_NE(std::ranges::find(names, "null"), names.end());
  EXPECT_TRUE(names_in("/no/such/folder").empty());
}

}  // namespace
}  // namespace cloze
