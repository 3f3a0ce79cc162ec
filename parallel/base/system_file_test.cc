// Reading files of the system, those that are absent and those that are none.
#include "parallel/base/system_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace cloze {
namespace {

TEST(SystemFileTest, AFileWhoseSizeIsNotKnownIsReadWhole) {
  const auto status = system_text("/proc/self/status");
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("VmRSS"), std::string::npos);
}

TEST(SystemFileTest, WhatIsAbsentOrNoFileIsNothing) {
  EXPECT_FALSE(system_text("/proc/self/no-such-file"));
  EXPECT_FALSE(system_text("/proc/self/status/below-a-file"));
  EXPECT_FALSE(system_text("/"));
  EXPECT_FALSE(system_text(""));
}

TEST(SystemFileTest, AnEmptyFileIsAnEmptyText) {
  const auto path = std::filesystem::path(testing::TempDir()) / "cloze-empty";
  std::ofstream(path).close();
  EXPECT_EQ(system_text(path), "");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace cloze
