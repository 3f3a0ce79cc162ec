// Our checkpoints in the hands of Python's safetensors, protobuf and xxHash.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

TEST(CheckpointPythonTest, PythonReadsTheSameBytes) {
  const std::filesystem::path source = CLOZE_SOURCE_DIR;
  const std::filesystem::path python = source / ".venv/bin/python";
  ASSERT_TRUE(std::filesystem::exists(python)) << "scripts/setup makes it";
  testing::Random random(51);
  const ScratchFolder scratch;
  std::vector<testing::TestTensor> tensors = testing::small_tensors(random);
  tensors.push_back(testing::random_tensor(random, "large", DType::kF16, {2100, 1001}));
  tensors.push_back(testing::random_tensor(random, "counts", DType::kI64, {3, 4, 5}));
  tensors.push_back(testing::random_tensor(random, "flags", DType::kU8, {13}));
  const std::filesystem::path folder =
      testing::save_checkpoint(random, scratch.path(), tensors, {.ranks = 3, .parts = 2});
  const std::filesystem::path report = scratch.path() / "report.json";
  const std::string command =
      str(python.string(), " ", (source / "scripts/oracles/check_checkpoint.py").string(), " ",
          folder.string(), " > ", report.string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const nlohmann::json json = nlohmann::json::parse(testing::slurp(report));
  EXPECT_EQ(json.size(), tensors.size());
  for (const testing::TestTensor& tensor : tensors) {
    EXPECT_EQ(json[tensor.name]["digest"], digest_of(tensor.data).hex()) << tensor.name;
    EXPECT_EQ(json[tensor.name]["shape"], tensor.shape) << tensor.name;
  }
}

}  // namespace
}  // namespace cloze
