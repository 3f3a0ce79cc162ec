#include "trainer/loop/numerics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "parallel/base/check.h"
#include "parallel/comm/groups.h"
#include "tests/support/run_ranks.h"
#include "trainer/checkpoint/digest.h"

namespace cloze {
namespace {

class BuildTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(testing::TempDir()) / ("cloze-build-" + std::to_string(getpid()));
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string digest_of_program(const std::string& content) const {
    std::ofstream(path_, std::ios::binary) << content;
    return build_of(path_).at("program");
  }
  std::filesystem::path path_;
};

TEST_F(BuildTest, IsNamedByTheContentOfTheProgram) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20U,
                                 (std::size_t{1} << 20U) + 1, std::size_t{2500000}}) {
    std::string content(size, 'x');
    EXPECT_EQ(digest_of_program(content), digest_of(content).hex());
    content += 'y';
    EXPECT_NE(digest_of_program(content), digest_of(std::string(size, 'x')).hex());
  }
}

TEST_F(BuildTest, OnAGpuIsNamedByTheContentOfTheKernelsToo) {
  const std::filesystem::path program = "/proc/self/exe";
  EXPECT_FALSE(build_of(program).contains("gpu_kernels")) << "a CPU has none";
  std::ofstream(path_, std::ios::binary) << "kernels";
  const Numerics before = build_of(program, path_);
  EXPECT_EQ(before.at("gpu_kernels"), digest_of("kernels").hex());
  std::ofstream(path_, std::ios::binary) << "kernelz";
  const std::vector<NumericsChange> changes = find_changes(before, build_of(program, path_));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].name, "gpu_kernels");
}

TEST_F(BuildTest, OfThisProcessIsTheSameEveryTime) {
  const Numerics build = build_of();
  EXPECT_EQ(build, build_of());
  EXPECT_EQ(build.at("program"), build_of("/proc/self/exe").at("program"));
  for (const char* name : {"program", "libtorch", "mkl", "onednn"}) {
    EXPECT_NE(build.at(name), "unknown") << name;
    EXPECT_FALSE(build.at(name).empty()) << name;
  }
  EXPECT_TRUE(build.at("libtorch").starts_with("2.")) << build.at("libtorch");
}

TEST(NumericsTest, OfAProcessHoldTheMachineAndTheEnvironment) {
  const Numerics before = numerics_of_process({});
  EXPECT_FALSE(before.at("processor").empty());
  EXPECT_TRUE(before.at("instruction_set").starts_with("AVX")) << before.at("instruction_set");
  // NOLINTBEGIN(concurrency-mt-unsafe)
  ASSERT_EQ(setenv("ONEDNN_MAX_CPU_ISA", "SSE41", 1), 0);
  EXPECT_EQ(numerics_of_process({}).at("ONEDNN_MAX_CPU_ISA"), "SSE41");
  ASSERT_EQ(unsetenv("ONEDNN_MAX_CPU_ISA"), 0);
  // NOLINTEND(concurrency-mt-unsafe)
  EXPECT_EQ(numerics_of_process({}), before);
}

TEST(NumericsTest, ChangesAreListedByName) {
  const Numerics before = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
  const Numerics after = {{"b", "2"}, {"c", "4"}, {"d", "5"}};
  const std::vector<NumericsChange> expected = {
      {"a", "1", "none"}, {"c", "3", "4"}, {"d", "none", "5"}};
  EXPECT_EQ(find_changes(before, after), expected);
  EXPECT_TRUE(find_changes(before, before).empty());
  EXPECT_EQ(text_of(expected), "a: 1 -> none, c: 3 -> 4, d: none -> 5");
}

TEST(NumericsTest, TravelAsOneText) {
  const Numerics numerics = {{"a", ""}, {"b", "x=y"}, {"c", "three words"}};
  EXPECT_EQ(unpacked(packed(numerics)), numerics);
  EXPECT_EQ(unpacked(packed({{"a", "two\nlines"}})), (Numerics{{"a", "two lines"}}));
  EXPECT_TRUE(unpacked("").empty());
}

TEST(NumericsTest, OfAJobSayWhichRanksDiffer) {
  run_ranks(4, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 4}), world, rank, 1);
    Numerics mine = {{"libtorch", "2"}, {"processor", rank == 2 ? "B" : "A"}};
    if (rank == 0) mine["MKL_CBWR"] = "AVX2";
    const JobNumerics job = gather_numerics(*groups.world, mine);
    EXPECT_EQ(job.facts.at("libtorch"), "2");
    EXPECT_EQ(job.facts.at("processor"), "A on ranks 0, 1, 3; B on rank 2");
    EXPECT_EQ(job.facts.at("MKL_CBWR"), "AVX2 on rank 0; none on ranks 1-3");
    EXPECT_EQ(job.mixed, (std::vector<std::string>{"MKL_CBWR", "processor"}));
  });
}

}  // namespace
}  // namespace cloze
