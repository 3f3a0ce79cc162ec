// cloze inspect on checkpoints.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_testing.h"
#include "trainer/cli/inspect.h"

namespace cloze {
namespace {

class InspectCheckpointTest : public ::testing::Test {
 protected:
  InspectCheckpointTest() {
    folder_ = testing::save_checkpoint(random_, scratch_.path() / "run/checkpoints", tensors_);
  }
  std::string inspected(const std::filesystem::path& path, const InspectOptions& options) const {
    std::ostringstream out;
    inspect_checkpoint(path, options, out);
    return out.str();
  }

  testing::Random random_{61};
  ScratchFolder scratch_;
  std::vector<testing::TestTensor> tensors_ = testing::small_tensors(random_);
  std::filesystem::path folder_;
};

TEST_F(InspectCheckpointTest, JsonTellsTheStateAndTheTensors) {
  const auto json =
      nlohmann::json::parse(inspected(scratch_.path() / "run", {.json = true, .verify = true}));
  EXPECT_EQ(json["kind"], "checkpoint");
  EXPECT_EQ(json["step"], 100);
  EXPECT_EQ(json["parameters"], 30 + 7 + 1);
  EXPECT_EQ(json["seed"], 18446744073709551615ULL);
  EXPECT_EQ(json["config"], "run:\n  steps: 200\n");
  EXPECT_EQ(json["optimizer_steps"]["layer.bias"], 99);
  EXPECT_EQ(json["files"].size(), 2U);
  ASSERT_EQ(json["tensors"].size(), 4U);
  EXPECT_EQ(json["tensors"][1]["name"], "layer.weight");
  EXPECT_EQ(json["tensors"][1]["digest"], digest_of(tensors_[0].data).hex());
  EXPECT_EQ(json["verified"], true);
}

TEST_F(InspectCheckpointTest, TextShowsTheStepTheTensorsAndTheConfig) {
  const std::string text = inspected(folder_, {});
  EXPECT_NE(text.find("step: 100\n"), std::string::npos) << text;
  EXPECT_NE(text.find("layer.weight  F32[6, 5]"), std::string::npos) << text;
  EXPECT_NE(text.find("config:\nrun:\n  steps: 200\n"), std::string::npos) << text;
}

TEST_F(InspectCheckpointTest, VerifyFindsWhatOpeningDoesNot) {
  const std::filesystem::path path = folder_ / rank_file_name(1);
  std::string bytes = testing::slurp(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  testing::spill(path, bytes);
  EXPECT_NO_THROW(inspected(folder_, {}));
  EXPECT_EQ(testing::code_of([&] { inspected(folder_, {.json = false, .verify = true}); }),
            ExitCode::kBadInput);
}

}  // namespace
}  // namespace cloze
