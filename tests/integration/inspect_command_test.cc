// `cloze inspect` as a user types it: what it takes, its flags, its exit codes.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/integration/training.h"

namespace cloze {
namespace {

using Json = nlohmann::json;

class InspectTest : public TrainingTest {
 protected:
  Json inspected(const std::string& path) const {
    const Outcome outcome = cloze({"inspect", "--json", "--verify", path});
    expect_done(outcome);
    return Json::parse(outcome.out);
  }
  static void flip_byte(const std::filesystem::path& path, std::streamoff place) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(place);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(place);
    file.put(byte);
    ASSERT_TRUE(file.good()) << path;
  }
};

TEST_F(InspectTest, KindsAreToldApart) {
  expect_done(train(2, "a", {"run.steps=2", "parallel.tensor=2"}));
  const Json run = inspected(run_folder("a").string());
  EXPECT_EQ(run.at("step"), 2);
  EXPECT_EQ(inspected(step_folder("a", 2).string()), run);
  EXPECT_EQ(inspected("tokenizer").at("kind"), "tokenizer");
  EXPECT_GT(inspected("train").at("tokens"), 100);
  expect_failure(cloze({"inspect", "train.txt"}), 65, {"nothing that inspect knows"});
  expect_failure(cloze({"inspect", "absent"}), 65, {"absent does not exist"});
}

TEST_F(InspectTest, VerifyFindsAFlippedByteThatALookDoesNot) {
  expect_done(train(0, "a", {"run.steps=1"}));
  const std::filesystem::path file = step_folder("a", 1) / "rank-00000.safetensors";
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(file));
  flip_byte(file, size - 5);
  expect_done(cloze({"inspect", run_folder("a").string()}));
  expect_failure(cloze({"inspect", "--verify", run_folder("a").string()}), 65,
                 {"rank-00000.safetensors"});
  flip_byte(file, size - 5);
  expect_done(cloze({"inspect", "--verify", run_folder("a").string()}));
}

TEST_F(InspectTest, SamplesAreLinesOfTheRowsThatAreAskedFor) {
  const Words command = {"inspect", "--samples", "config.yaml"};
  const auto lines_of = [&](const Words& options) {
    const Outcome outcome = cloze(command + options);
    expect_done(outcome);
    std::vector<Json> lines;
    for (const std::string& line : lines_of_text(outcome.out)) lines.push_back(Json::parse(line));
    return lines;
  };
  EXPECT_EQ(lines_of({}).size(), 8U);
  const std::vector<Json> first = lines_of({"--count", "30"});
  ASSERT_EQ(first.size(), 30U);
  const std::int64_t row = first[20].at("ordinal");
  const std::vector<Json> later = lines_of({"--first", std::to_string(row), "--count", "1"});
  ASSERT_EQ(later.size(), 1U);
  EXPECT_EQ(later[0].at("ordinal"), row);
  EXPECT_NE(lines_of({"--set", "run.seed=8"}), lines_of({})) << "the seed is in the key";
  expect_failure(cloze({"inspect", "--count", "3", "config.yaml"}), 64);
  expect_failure(cloze(command + Words{"--count", "0"}), 64);
}

}  // namespace
}  // namespace cloze
