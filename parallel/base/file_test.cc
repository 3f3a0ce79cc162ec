#include "parallel/base/file.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

class ReplacingFileTest : public testing::Test {
 protected:
  std::string content() const { return read_file(path_, 1 << 30); }
  std::ptrdiff_t num_files() const {
    return std::distance(std::filesystem::directory_iterator(scratch_.path()), {});
  }

  const ScratchFolder scratch_{"file"};
  const std::filesystem::path path_ = scratch_.path() / "file";
};

TEST_F(ReplacingFileTest, TheOldContentStaysUntilTheCommit) {
  write_file_atomically(path_, "old");
  ReplacingFile file(path_);
  file.write("new");
  EXPECT_EQ(content(), "old");
  file.commit();
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(num_files(), 1);
}

TEST_F(ReplacingFileTest, WithoutACommitNothingIsLeftAndTheOldContentStays) {
  write_file_atomically(path_, "old");
  {
    ReplacingFile file(path_);
    file.write("new");
    EXPECT_EQ(num_files(), 2);
  }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(num_files(), 1);
}

TEST_F(ReplacingFileTest, PiecesOfAllSizesAreOneFile) {
  std::string whole;
  ReplacingFile file(path_);
  for (const std::size_t size : {0, 1, 200'000, 100'000, 1'000'000, 3}) {
    const std::string piece(size, static_cast<char>('a' + size % 7));
    file.write(piece);
    whole += piece;
  }
  file.commit();
  EXPECT_EQ(content(), whole);
}

TEST_F(ReplacingFileTest, ANameThatCannotBeTakenIsAnErrorAndLeavesNothing) {
  std::filesystem::create_directory(path_);
  try {
    write_file_atomically(path_, "new");
    ADD_FAILURE() << "a folder was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kIo);
    EXPECT_TRUE(error.problem().starts_with("cannot rename " + path_.string() + ".tmp-"))
        << error.problem();
    EXPECT_NE(error.problem().find(" to " + path_.string() + ": Is a directory"), std::string::npos)
        << error.problem();
  }
  EXPECT_EQ(num_files(), 1);
}

TEST_F(ReplacingFileTest, AFolderThatIsMissingIsNamed) {
  try {
    const ReplacingFile file(scratch_.path() / "missing" / "file");
    ADD_FAILURE() << "a file was made in no folder";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kCannotWrite);
    EXPECT_TRUE(error.problem().starts_with("cannot create ")) << error.problem();
  }
}

}  // namespace
}  // namespace cloze
