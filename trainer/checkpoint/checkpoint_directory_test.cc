// Which checkpoint a run starts from, which old ones go, and who may write.
#include "trainer/checkpoint/checkpoint_directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_testing.h"
#include "trainer/checkpoint/directory_lock.h"

namespace cloze {
namespace {

using testing::code_of;
using testing::Random;

constexpr ExitCode kBad = ExitCode::kBadInput;

class CheckpointDirectoryTest : public ::testing::Test {
 protected:
  void save(std::int64_t step) {
    testing::save_checkpoint(random_, directory_, tensors_, {.step = step});
  }
  void damage_manifest(std::int64_t step) {
    const std::filesystem::path path = directory_ / step_folder_name(step) / kManifestName;
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  }
  void damage_data(std::int64_t step) {
    const std::filesystem::path path = directory_ / step_folder_name(step) / rank_file_name(0);
    std::string bytes = testing::slurp(path);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    testing::spill(path, bytes);
  }
  std::int64_t newest(CheckDepth depth = CheckDepth::kStructure, std::int64_t below = INT64_MAX) {
    warnings_.clear();
    const auto found = newest_checkpoint(directory_, ResumeMode::kAuto, warnings_, depth, below);
    return found ? *step_of_folder(found->filename().string()) : -1;
  }
  ExitCode code(ResumeMode mode, CheckDepth depth = CheckDepth::kStructure,
                std::string* text = nullptr) {
    return code_of([&] { newest_checkpoint(directory_, mode, warnings_, depth); }, text);
  }

  Random random_{41};
  ScratchFolder scratch_;
  std::filesystem::path directory_ = scratch_.path() / "run" / "checkpoints";
  std::vector<testing::TestTensor> tensors_ = testing::small_tensors(random_);
  std::vector<std::string> warnings_;
};

TEST_F(CheckpointDirectoryTest, NothingCommittedIsNothing) {
  EXPECT_EQ(newest(), -1);
  EXPECT_EQ(code(ResumeMode::kStrict), kBad);
  std::filesystem::create_directories(directory_ / ".tmp-step-00000100-t");
  std::filesystem::create_directories(directory_ / ".trash-step-00000100");
  testing::spill(directory_ / "step-00000300", "a file");
  EXPECT_EQ(newest(), -1);
  EXPECT_EQ(code(ResumeMode::kStrict), kBad);
}

TEST_F(CheckpointDirectoryTest, TheNewestIsFound) {
  save(100);
  save(200);
  EXPECT_EQ(newest(), 200);
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(code(ResumeMode::kStrict), ExitCode::kDone);
}

TEST_F(CheckpointDirectoryTest, AutoPassesOverDamageAndStrictDoesNot) {
  save(100);
  save(200);
  save(300);
  damage_manifest(300);
  EXPECT_EQ(newest(), 200);
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_NE(warnings_[0].find("step-00000300"), std::string::npos);
  EXPECT_EQ(code(ResumeMode::kStrict), kBad);
  damage_data(200);
  EXPECT_EQ(newest(), 200);
  EXPECT_EQ(newest(CheckDepth::kEverything), 100);
  EXPECT_EQ(newest(CheckDepth::kStructure, 200), 100);  // What a loader that found it asks for.
}

TEST_F(CheckpointDirectoryTest, WhenAllAreDamagedEachReasonIsTold) {
  save(100);
  save(200);
  damage_manifest(100);
  std::filesystem::remove(directory_ / "step-00000200" / rank_file_name(1));
  std::string text;
  EXPECT_EQ(code(ResumeMode::kAuto, CheckDepth::kStructure, &text), kBad);
  EXPECT_NE(text.find("step-00000100/manifest.binpb"), std::string::npos) << text;
  EXPECT_NE(text.find("step-00000200/rank-00001.safetensors"), std::string::npos) << text;
}

TEST_F(CheckpointDirectoryTest, AMissingNewestIsTold) {
  save(100);
  save(200);
  std::filesystem::remove_all(directory_ / "step-00000200");
  EXPECT_EQ(newest(), 100);
  EXPECT_EQ(warnings_.size(), 1U);
  EXPECT_EQ(code(ResumeMode::kStrict), kBad);
  std::filesystem::remove_all(directory_ / "step-00000100");
  EXPECT_EQ(code(ResumeMode::kAuto), kBad);
}

TEST_F(CheckpointDirectoryTest, LatestIsOnlyAHint) {
  save(100);
  save(200);
  for (const std::string& content :
       {std::string(), std::string("step-00000100\n"), std::string("../../etc\n"),
        std::string("\0\0\0", 3), std::string(100000, 'x')}) {
    testing::spill(directory_ / "latest", content);
    EXPECT_EQ(newest(), 200);
    EXPECT_EQ(warnings_.empty(), content.starts_with("step-")) << content.substr(0, 20);
    EXPECT_EQ(code(ResumeMode::kStrict), ExitCode::kDone);
  }
  std::filesystem::remove(directory_ / "latest");
  EXPECT_EQ(newest(), 200);
}

TEST_F(CheckpointDirectoryTest, ACheckpointIsNamedByItsFolderOrTheFoldersAboveIt) {
  save(100);
  save(200);
  const std::filesystem::path expected = directory_ / "step-00000200";
  EXPECT_EQ(resolve_checkpoint(directory_.parent_path()), expected);
  EXPECT_EQ(resolve_checkpoint(directory_), expected);
  EXPECT_EQ(resolve_checkpoint(directory_ / ""), expected);
  EXPECT_EQ(resolve_checkpoint(directory_ / "step-00000100"), directory_ / "step-00000100");
  EXPECT_EQ(resolve_checkpoint(directory_ / "step-00000100" / ""), directory_ / "step-00000100");
  EXPECT_TRUE(is_checkpoint(directory_));
  EXPECT_FALSE(is_checkpoint(scratch_.path()));
  EXPECT_EQ(code_of([&] { resolve_checkpoint(scratch_.path()); }), kBad);
  EXPECT_EQ(code_of([&] { resolve_checkpoint(directory_ / "step-00000300"); }), kBad);
  EXPECT_EQ(code_of([&] { resolve_checkpoint(directory_ / "latest"); }), kBad);
}

TEST_F(CheckpointDirectoryTest, OldCheckpointsGo) {
  for (std::int64_t step = 100; step <= 600; step += 100) save(step);
  retain(directory_, 0, 0);
  EXPECT_EQ(committed_steps(directory_).size(), 6U);
  retain(directory_, 2, 300);
  EXPECT_EQ(committed_steps(directory_), (std::vector<std::int64_t>{600, 500, 300}));
  retain(directory_, 1, 0);
  EXPECT_EQ(committed_steps(directory_), (std::vector<std::int64_t>{600}));
  EXPECT_EQ(newest(), 600);
}

TEST_F(CheckpointDirectoryTest, DamagedOnesDoNotCountAsKept) {
  for (std::int64_t step = 100; step <= 400; step += 100) save(step);
  damage_manifest(400);
  damage_manifest(300);
  retain(directory_, 1, 0);
  EXPECT_EQ(committed_steps(directory_), (std::vector<std::int64_t>{400, 300, 200}));
  damage_manifest(200);
  retain(directory_, 1, 0);  // Nothing good is left: nothing goes.
  EXPECT_EQ(committed_steps(directory_).size(), 3U);
}

TEST_F(CheckpointDirectoryTest, LeftoversGoOnceANewerOneIsCommitted) {
  for (const char* name :
       {".tmp-step-00000100-a", ".tmp-step-00000200-b", ".trash-step-00000050", ".tmp-other"}) {
    std::filesystem::create_directories(directory_ / name / "inside");
  }
  testing::spill(directory_ / "latest.tmp-77", "");
  retain(directory_, 2, 0);
  EXPECT_TRUE(std::filesystem::exists(directory_ / ".tmp-step-00000100-a"));
  save(100);
  EXPECT_EQ(retain(directory_, 2, 0).size(), 3U);
  EXPECT_FALSE(std::filesystem::exists(directory_ / ".tmp-step-00000100-a"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / ".trash-step-00000050"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "latest.tmp-77"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / ".tmp-step-00000200-b"));  // Of a later step.
  EXPECT_TRUE(std::filesystem::exists(directory_ / ".tmp-other"));            // Not ours.
}

TEST_F(CheckpointDirectoryTest, ACheckpointThatIsReadStays) {
  save(100);
  save(200);
  {
    const Checkpoint reader = Checkpoint::open(directory_ / "step-00000100");
    EXPECT_EQ(retain(directory_, 1, 0).size(), 1U);
    EXPECT_EQ(committed_steps(directory_).size(), 2U);
  }
  retain(directory_, 1, 0);
  EXPECT_EQ(committed_steps(directory_).size(), 1U);
}

TEST_F(CheckpointDirectoryTest, RemovalDoesNotFollowLinks) {
  save(100);
  save(200);
  testing::spill(scratch_.path() / "precious", "data");
  std::filesystem::create_directory_symlink(scratch_.path(), directory_ / ".trash-link");
  std::filesystem::create_directory_symlink(scratch_.path(), directory_ / "step-00000100" / "link");
  retain(directory_, 1, 0);
  EXPECT_TRUE(std::filesystem::exists(scratch_.path() / "precious"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "step-00000100"));
}

TEST_F(CheckpointDirectoryTest, ASecondJobIsToldWhoHoldsTheDirectory) {
  {
    const DirectoryLock first = DirectoryLock::acquire(directory_, "run-one");
    EXPECT_TRUE(first.enforced());
    std::string text;
    EXPECT_EQ(code_of([&] { DirectoryLock::acquire(directory_, "run-two"); }, &text),
              ExitCode::kCannotWrite);
    EXPECT_NE(text.find("run-one"), std::string::npos) << text;
    EXPECT_NE(text.find(str("process ", ::getpid())), std::string::npos) << text;
  }
  DirectoryLock::acquire(directory_, "run-two");
}

TEST_F(CheckpointDirectoryTest, TheLockOfAKilledJobIsFree) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const DirectoryLock held = DirectoryLock::acquire(directory_, "run-one");
    if (::write(ends[1], "x", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_EQ(code_of([&] { DirectoryLock::acquire(directory_, "run-two"); }),
            ExitCode::kCannotWrite);
  ::kill(child, SIGKILL);
  // A successor that is started while its predecessor ends waits for it.
  DirectoryLock::acquire(directory_, "run-two", std::chrono::seconds(10));
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace cloze
