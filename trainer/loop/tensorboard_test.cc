// Event files: the checksum, the framing, and TensorBoard's own reader.
#include "trainer/loop/tensorboard.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

class TensorBoardTest : public ::testing::Test {
 protected:
  const ScratchFolder scratch_;
  const std::filesystem::path& folder_ = scratch_.path();
};

TEST_F(TensorBoardTest, TheChecksumIsCastagnolis) {
  // Vectors of RFC 3720, section B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST_F(TensorBoardTest, ARecordIsLengthBytesAndTwoChecksums) {
  const std::string record = tensorboard_record("abc");
  ASSERT_EQ(record.size(), 8U + 4 + 3 + 4);
  std::uint64_t length = 0;
  std::memcpy(&length, record.data(), 8);
  EXPECT_EQ(length, 3U);
  EXPECT_EQ(record.substr(12, 3), "abc");
}

TEST_F(TensorBoardTest, EachRunHasAFileOfItsOwn) {
  const TensorBoardWriter first(folder_, 0);
  const TensorBoardWriter second(folder_, 5);
  EXPECT_NE(first.path(), second.path());
  EXPECT_NE(first.path().filename().string().find("tfevents"), std::string::npos);
}

TEST_F(TensorBoardTest, TensorBoardReadsTheScalarsAndDropsAnAbandonedFuture) {
  const std::filesystem::path source = CLOZE_SOURCE_DIR;
  const std::filesystem::path python = source / ".venv/bin/python";
  ASSERT_TRUE(std::filesystem::exists(python)) << "scripts/setup makes it";
  {
    TensorBoardWriter writer(folder_, 0);
    for (int step = 1; step <= 5; ++step) {
      writer.write(step, std::vector<Scalar>{{"train/loss", 10.5 - step}, {"train/lr", 0.25}});
    }
  }
  {
    TensorBoardWriter writer(folder_, 3);  // Steps 4 and 5 run again.
    writer.write(4, std::vector<Scalar>{{"train/loss", -1.5}});
  }
  const std::filesystem::path report = folder_ / "report.json";
  const std::string command =
      str(python.string(), " ", (source / "scripts/oracles/check_tensorboard.py").string(), " ",
          folder_.string(), " > ", report.string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const nlohmann::json json = nlohmann::json::parse(read_file(report, 1 << 20));
  EXPECT_EQ(json["train/loss"].dump(), "[[1,9.5],[2,8.5],[3,7.5],[4,-1.5]]");
  EXPECT_EQ(json["train/lr"].dump(), "[[1,0.25],[2,0.25],[3,0.25]]");
}

}  // namespace
}  // namespace cloze
