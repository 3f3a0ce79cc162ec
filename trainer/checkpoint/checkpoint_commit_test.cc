// The two phases of a save: what a stop, a kill, a full disk or a wrong piece leaves behind.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/support/scratch_folder.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

using testing::code_of;
using testing::Random;
using testing::TestTensor;

std::optional<std::filesystem::path> newest(const std::filesystem::path& directory) {
  std::vector<std::string> warnings;
  return newest_checkpoint(directory, ResumeMode::kAuto, warnings, CheckDepth::kEverything);
}

TEST(CheckpointCommitTest, AStopAfterAnyPhaseLeavesTheOldOrTheNew) {
  Random random(31);
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  for (int last_phase = 0; last_phase <= 5; ++last_phase) {
    const ScratchFolder scratch;
    testing::save_checkpoint(random, scratch.path(), tensors, {.step = 100, .token = "old"});
    CheckpointSave save(scratch.path(), 200, "run-1", "new");
    std::vector<std::string> records;
    if (last_phase >= 1) save.create_folder();
    if (last_phase >= 2) records = testing::write_rank_files(random, save, tensors, {.step = 200});
    if (last_phase >= 3) save.write_manifest(records, testing::test_state());
    if (last_phase >= 4) save.publish();
    if (last_phase >= 5) save.point_latest();
    EXPECT_EQ(newest(scratch.path()),
              scratch.path() / step_folder_name(last_phase >= 4 ? 200 : 100));
    // The same step is saved again, as a restarted job does, and nothing is in its way.
    if (last_phase < 4) {
      testing::save_checkpoint(random, scratch.path(), tensors, {.step = 200, .token = "again"});
      EXPECT_EQ(newest(scratch.path()), scratch.path() / step_folder_name(200));
    }
  }
}

TEST(CheckpointCommitTest, AKillAtAnyMomentLeavesTheOldOrTheNew) {
  Random random(32);
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  const ScratchFolder scratch;
  const auto start = std::chrono::steady_clock::now();
  testing::save_checkpoint(random, scratch.path(), tensors, {.step = 1});
  const auto one_save = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  std::int64_t acknowledged = 1;
  // More rounds, and longer ones, where the machine is too busy to save anything meanwhile.
  for (int round = 0; round < 25 || acknowledged == 1; ++round) {
    ASSERT_LT(round, 1000) << "nothing was ever saved";
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Random own(static_cast<unsigned>(round));
      for (std::int64_t step = acknowledged + 1;; ++step) {
        testing::save_checkpoint(own, scratch.path(), tensors,
                                 {.step = step, .token = str("r", round)});
        retain(scratch.path(), 2, 0);
        // Saved is said after the commit alone.
        if (::write(pipe_ends[1], &step, sizeof(step)) != sizeof(step)) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    // Some time in the first three saves, however fast the disk is.
    std::this_thread::sleep_for(one_save * testing::draw(random, 10, 300) / 100 * (1 + round / 25));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    for (std::int64_t step = 0; ::read(pipe_ends[0], &step, sizeof(step)) == sizeof(step);) {
      acknowledged = step;
    }
    ::close(pipe_ends[0]);
    const std::optional<std::filesystem::path> found = newest(scratch.path());
    ASSERT_TRUE(found);
    const std::int64_t step = *step_of_folder(found->filename().string());
    ASSERT_GE(step, acknowledged);
    ASSERT_LE(step, acknowledged + 1);
    acknowledged = step;
  }
}

TEST(CheckpointCommitTest, LatestNamesTheNewest) {
  Random random(33);
  const ScratchFolder scratch;
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  testing::save_checkpoint(random, scratch.path(), tensors, {.step = 5});
  testing::save_checkpoint(random, scratch.path(), tensors, {.step = 10});
  EXPECT_EQ(testing::slurp(scratch.path() / "latest"), "step-00000010\n");
}

TEST(CheckpointCommitTest, AGoodCheckpointIsNeverReplaced) {
  const ScratchFolder scratch;
  Random random(34);
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  Random layout(1);
  testing::save_checkpoint(layout, scratch.path(), tensors, {.token = "a"});
  const std::string manifest = testing::slurp(scratch.path() / "step-00000100/manifest.binpb");
  Random same_layout(1);
  testing::save_checkpoint(same_layout, scratch.path(), tensors, {.token = "b"});
  EXPECT_EQ(testing::slurp(scratch.path() / "step-00000100/manifest.binpb"), manifest);
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / ".tmp-step-00000100-b"));

  const std::vector<TestTensor> others = testing::small_tensors(random);
  Random third_layout(1);
  EXPECT_EQ(code_of([&] {
              testing::save_checkpoint(third_layout, scratch.path(), others, {.token = "c"});
            }),
            ExitCode::kCannotWrite);
  EXPECT_EQ(testing::slurp(scratch.path() / "step-00000100/manifest.binpb"), manifest);
}

TEST(CheckpointCommitTest, ADamagedCheckpointOfTheSameStepMakesWay) {
  Random random(35);
  const ScratchFolder scratch;
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  const auto folder = testing::save_checkpoint(random, scratch.path(), tensors, {.token = "a"});
  std::string bytes = testing::slurp(folder / rank_file_name(1));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  testing::spill(folder / rank_file_name(1), bytes);
  testing::save_checkpoint(random, scratch.path(), tensors, {.token = "b"});
  EXPECT_EQ(newest(scratch.path()), folder);
  EXPECT_FALSE(retain(scratch.path(), 0, 0).empty());  // The damaged one goes with the leftovers.
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / ".trash-step-00000100-b"));
}

// What a device makes of the bytes behind our back must be found: digests are of the buffer.
TEST(CheckpointCommitTest, ByteThatChangesOnItsWayToTheDeviceIsFound) {
  Random random(39);
  const ScratchFolder scratch;
  const TestTensor tensor = testing::random_tensor(random, "a", DType::kF32, {100});
  CheckpointSave save(scratch.path(), 1, "run-1", "t");
  save.create_folder();
  const std::filesystem::path path = save.temporary_folder() / rank_file_name(0);
  const auto flip_the_last_byte_written = [&](std::int64_t, std::span<std::byte> out) {
    std::fill(out.begin(), out.end(), std::byte{1});
    std::string bytes = testing::slurp(path);
    ASSERT_EQ(bytes.back(), static_cast<char>(tensor.data.back()));
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end).put(static_cast<char>(bytes.back() ^ 1));
  };
  // The second piece is made when the first one is in the file.
  const std::string bytes = save.write_rank_file(
      0, {{"a", DType::kF32, Box::whole({100}), tensor.data.data()},
          {"b", DType::kF32, Box::whole({3}), nullptr, flip_the_last_byte_written}});
  checkpoint::RankRecord record;
  ASSERT_TRUE(record.ParseFromString(bytes));
  const std::string name = rank_file_name(0);
  EXPECT_EQ(record.tensors(0).entries(0).digests(),
            digest_of(tensor.data, chunk_seed("run-1", 1, 0, name)).view());
  EXPECT_NE(record.file().digest(), digest_of(testing::slurp(path)).view());
  save.commit({bytes}, testing::test_state());
  std::string text;
  EXPECT_EQ(code_of([&] { Checkpoint::open(save.folder()).verify(); }, &text), ExitCode::kBadInput);
  EXPECT_NE(text.find(name), std::string::npos) << text;
}

TEST(CheckpointCommitTest, PiecesThatDoNotAddUpAreABug) {
  const std::vector<float> data(8);
  const auto commit_code = [&](const std::vector<std::pair<int, Piece>>& pieces) {
    const ScratchFolder scratch;
    CheckpointSave save(scratch.path(), 1, "run-1", "t");
    save.create_folder();
    std::vector<std::string> records;
    for (const auto& [rank, piece] : pieces) records.push_back(save.write_rank_file(rank, {piece}));
    const ExitCode code = code_of([&] { save.commit(records, {}); });
    EXPECT_EQ(newest(scratch.path()).has_value(), code == ExitCode::kDone);
    return code;
  };
  const auto piece = [&](std::int64_t first, std::int64_t count, DType dtype = DType::kF32) {
    return Piece{"w", dtype, Box::cut({8}, 0, first, count), data.data()};
  };
  EXPECT_EQ(commit_code({{0, piece(0, 4)}, {1, piece(4, 4)}}), ExitCode::kDone);
  EXPECT_EQ(commit_code({{0, piece(0, 4)}, {1, piece(5, 3)}}), ExitCode::kInternal);
  EXPECT_EQ(commit_code({{0, piece(0, 5)}, {1, piece(4, 4)}}), ExitCode::kInternal);
  EXPECT_EQ(commit_code({{0, piece(0, 8)}, {1, piece(0, 8)}}), ExitCode::kInternal);
  EXPECT_EQ(commit_code({{0, piece(0, 4)}}), ExitCode::kInternal);
  EXPECT_EQ(commit_code({{0, piece(0, 4)}, {2, piece(4, 4)}}), ExitCode::kInternal);  // No rank 1.
  EXPECT_EQ(commit_code({{0, piece(0, 4)}, {1, piece(4, 4, DType::kBF16)}}), ExitCode::kInternal);
}

TEST(CheckpointCommitTest, ARankWithoutPiecesWritesAnEmptyFile) {
  Random random(36);
  const ScratchFolder scratch;
  const std::vector<float> data(2);
  CheckpointSave save(scratch.path(), 1, "run-1", "t");
  save.create_folder();
  const Piece whole{"w", DType::kF32, Box::whole({2}), data.data()};
  const Piece empty{"w", DType::kF32, Box::cut({2}, 0, 2, 0), nullptr};
  save.commit({save.write_rank_file(1, {empty}), save.write_rank_file(0, {whole})}, {});
  Checkpoint::open(save.folder()).verify();
}

TEST(CheckpointCommitTest, AFullDeviceIsAnIoErrorAndSparesTheOldOne) {
  Random random(37);
  const ScratchFolder scratch;
  const std::vector<TestTensor> tensors = testing::small_tensors(random);
  testing::save_checkpoint(random, scratch.path(), tensors, {.step = 100});
  CheckpointSave save(scratch.path(), 200, "run-1", "t");
  save.create_folder();
  std::filesystem::create_symlink("/dev/full", save.temporary_folder() / rank_file_name(0));
  std::string text;
  EXPECT_EQ(code_of([&] { testing::write_rank_files(random, save, tensors, {}); }, &text),
            ExitCode::kIo);
  EXPECT_NE(text.find("rank-00000.safetensors"), std::string::npos) << text;
  save.abandon();
  EXPECT_FALSE(std::filesystem::exists(save.temporary_folder()));
  EXPECT_EQ(newest(scratch.path()), scratch.path() / step_folder_name(100));
}

TEST(CheckpointCommitTest, ALimitOfFileSizesIsAnIoError) {
  Random random(38);
  const ScratchFolder scratch;
  const std::vector<TestTensor> tensors = {
      testing::random_tensor(random, "w", DType::kF32, {100000})};
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(static_cast<int>(
        code_of([&] { testing::save_checkpoint(random, scratch.path(), tensors); })));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ExitCode::kIo));
  EXPECT_FALSE(newest(scratch.path()));
}

TEST(CheckpointCommitTest, AFolderThatCannotBeMadeIsCannotWrite) {
  const ScratchFolder scratch;
  testing::spill(scratch.path() / "file", "");
  CheckpointSave under_a_file(scratch.path() / "file", 1, "run-1", "t");
  EXPECT_EQ(code_of([&] { under_a_file.create_folder(); }), ExitCode::kCannotWrite);
  CheckpointSave save(scratch.path(), 1, "run-1", "t");
  save.create_folder();
  EXPECT_EQ(code_of([&] { save.create_folder(); }), ExitCode::kCannotWrite);
  std::filesystem::remove_all(save.temporary_folder());  // The folder disappears in mid-save.
  EXPECT_EQ(code_of([&] { save.write_rank_file(0, {}); }), ExitCode::kCannotWrite);
}

TEST(CheckpointCommitTest, AFileThatRankZeroDoesNotSeeIsCannotWrite) {
  const ScratchFolder scratch;
  CheckpointSave save(scratch.path(), 1, "run-1", "t");
  save.create_folder();
  const std::string record = save.write_rank_file(0, {});
  std::filesystem::remove(save.temporary_folder() / rank_file_name(0));
  EXPECT_EQ(code_of([&] { save.commit({record}, {}); }), ExitCode::kCannotWrite);
}

}  // namespace
}  // namespace cloze
