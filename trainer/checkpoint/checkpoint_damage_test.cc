// Damage of every kind to a committed checkpoint: each is kBadInput and names the file.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

using testing::code_of;
using testing::Random;

class CheckpointDamageTest : public ::testing::Test {
 protected:
  CheckpointDamageTest() { folder_ = testing::save_checkpoint(random_, scratch_.path(), tensors_); }

  // What a trainer does that loads everything.
  ExitCode load_code(std::string* text = nullptr) const {
    return code_of(
        [&] {
          const Checkpoint opened = Checkpoint::open(folder_);
          for (const std::string& name : opened.names()) opened.content_digest(name);
        },
        text);
  }
  ExitCode open_code(std::string* text = nullptr) const {
    return code_of([&] { Checkpoint::open(folder_); }, text);
  }
  ExitCode verify_code() const {
    return code_of([&] { Checkpoint::open(folder_).verify(); });
  }
  void expect_found_on_opening(const std::string& named) const {
    std::string text;
    EXPECT_EQ(open_code(&text), ExitCode::kBadInput);
    EXPECT_NE(text.find(named), std::string::npos) << text;
  }

  Random random_{21};
  ScratchFolder scratch_;
  std::vector<testing::TestTensor> tensors_ = testing::small_tensors(random_);
  std::filesystem::path folder_;
};

TEST_F(CheckpointDamageTest, AnyFlippedBitOfAnyFileIsFoundByLoadingAndByVerifying) {
  ASSERT_EQ(load_code(), ExitCode::kDone);
  ASSERT_EQ(verify_code(), ExitCode::kDone);
  int flips = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string good = testing::slurp(entry.path());
    for (std::size_t byte = 0; byte < good.size(); ++byte, ++flips) {
      std::string bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << random_() % 8));
      testing::spill(entry.path(), bad);
      std::string text;
      ASSERT_EQ(load_code(&text), ExitCode::kBadInput) << entry.path() << " byte " << byte;
      ASSERT_NE(text.find(entry.path().filename().string()), std::string::npos) << text;
      ASSERT_EQ(verify_code(), ExitCode::kBadInput) << entry.path() << " byte " << byte;
    }
    testing::spill(entry.path(), good);
  }
  EXPECT_GT(flips, 1000);
  EXPECT_EQ(verify_code(), ExitCode::kDone);
}

TEST_F(CheckpointDamageTest, ADamagedChunkIsNamedWithItsTensor) {
  const std::filesystem::path path = folder_ / rank_file_name(0);
  std::string bytes = testing::slurp(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  testing::spill(path, bytes);
  EXPECT_EQ(open_code(), ExitCode::kDone);  // Structure is good: only reading finds it.
  std::string text;
  EXPECT_EQ(load_code(&text), ExitCode::kBadInput);
  EXPECT_NE(text.find("rank-00000.safetensors is damaged: tensor "), std::string::npos) << text;
  EXPECT_NE(text.find("chunk 0"), std::string::npos) << text;
}

TEST_F(CheckpointDamageTest, TruncatedAndGrownFilesAreFoundOnOpening) {
  for (const char* name : {"rank-00001.safetensors", "manifest.binpb"}) {
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(folder_ / name));
    const std::string good = testing::slurp(folder_ / name);
    for (const std::int64_t changed :
         {size - 1, size / 2, std::int64_t{0}, size + 1, std::int64_t{1} << 40}) {
      std::filesystem::resize_file(folder_ / name, static_cast<std::uintmax_t>(changed));
      expect_found_on_opening(name);
      testing::spill(folder_ / name, good);
    }
  }
  EXPECT_EQ(open_code(), ExitCode::kDone);
}

TEST_F(CheckpointDamageTest, SwappedFilesAreFound) {
  // The same size and the same tensors' bytes in both: only what a digest is bound to differs.
  const testing::TestTensor twin{"a", DType::kF32, {4}, std::vector<std::byte>(16)};
  CheckpointSave save(scratch_.path(), 7, "run-1", "t2");
  save.create_folder();
  std::vector<std::string> records;
  for (const int rank : {0, 1}) {
    const Box box = Box::cut({8}, 0, rank * 4, 4);
    records.push_back(save.write_rank_file(rank, {{"a", DType::kF32, box, twin.data.data()}}));
  }
  save.commit(records, {});
  folder_ = save.folder();
  ASSERT_EQ(load_code(), ExitCode::kDone);
  std::filesystem::rename(folder_ / rank_file_name(0), folder_ / "x");
  std::filesystem::rename(folder_ / rank_file_name(1), folder_ / rank_file_name(0));
  std::filesystem::rename(folder_ / "x", folder_ / rank_file_name(1));
  expect_found_on_opening("rank-00000.safetensors");
}

TEST_F(CheckpointDamageTest, AFileOfAnotherStepOrRunIsFound) {
  for (const testing::TestSave& other :
       {testing::TestSave{.step = 200, .token = "t2"},
        testing::TestSave{.step = 300, .run_id = "run-2", .token = "t3"}}) {
    Random same(77);
    const std::filesystem::path first =
        testing::save_checkpoint(same, scratch_.path() / "a", tensors_, {.token = other.token});
    Random again(77);
    const std::filesystem::path second =
        testing::save_checkpoint(again, scratch_.path() / "b", tensors_, other);
    for (const int rank : {0, 1}) {
      std::filesystem::copy_file(second / rank_file_name(rank), first / rank_file_name(rank),
                                 std::filesystem::copy_options::overwrite_existing);
    }
    folder_ = first;
    expect_found_on_opening("rank-00000.safetensors");
    std::filesystem::remove_all(scratch_.path() / "a");
  }
}

TEST_F(CheckpointDamageTest, AFolderUnderAnotherStepsNameIsFound) {
  std::filesystem::rename(folder_, scratch_.path() / step_folder_name(200));
  folder_ = scratch_.path() / step_folder_name(200);
  expect_found_on_opening("step 100");
  std::filesystem::rename(folder_, scratch_.path() / "best");
  folder_ = scratch_.path() / "best";
  EXPECT_EQ(load_code(), ExitCode::kDone);
}

TEST_F(CheckpointDamageTest, MissingFilesAreAllNamed) {
  std::filesystem::remove(folder_ / rank_file_name(0));
  std::filesystem::remove(folder_ / rank_file_name(1));
  expect_found_on_opening("rank-00000.safetensors");
  expect_found_on_opening("rank-00001.safetensors");
  std::filesystem::remove(folder_ / kManifestName);
  expect_found_on_opening("manifest.binpb");
}

TEST_F(CheckpointDamageTest, AFileThatIsNotOursIsAWarning) {
  testing::spill(folder_ / "notes.txt", "mine");
  const Checkpoint opened = Checkpoint::open(folder_);
  ASSERT_EQ(opened.warnings().size(), 1U);
  EXPECT_NE(opened.warnings()[0].find("notes.txt"), std::string::npos);
}

TEST_F(CheckpointDamageTest, LinksPipesAndFoldersInPlaceOfFilesAreRefused) {
  for (const std::string& name : {rank_file_name(0), std::string(kManifestName)}) {
    const std::filesystem::path path = folder_ / name;
    const std::filesystem::path aside = scratch_.path() / "aside";
    std::filesystem::rename(path, aside);
    std::filesystem::create_symlink(aside, path);
    expect_found_on_opening(name);
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    expect_found_on_opening(name);
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    expect_found_on_opening(name);
    std::filesystem::remove(path);
    std::filesystem::rename(aside, path);
  }
  EXPECT_EQ(load_code(), ExitCode::kDone);
}

TEST_F(CheckpointDamageTest, AManifestThatDisagreesWithAFilesHeaderIsFoundByVerifying) {
  checkpoint::Manifest manifest = Checkpoint::open(folder_).manifest();
  for (checkpoint::Tensor& tensor : *manifest.mutable_tensors()) {
    if (tensor.name() == "layer.bias") tensor.set_name("layer.other");
  }
  testing::spill(folder_ / kManifestName, serialize_manifest(manifest));
  EXPECT_EQ(open_code(), ExitCode::kDone);
  EXPECT_EQ(verify_code(), ExitCode::kBadInput);
}

}  // namespace
}  // namespace cloze
