// What a run is given beside its own text, and what it keeps of it: ranks that disagree, the
// environment, folders of any name, the origin of each key, differences on resume.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "parallel/kernels/tile_product.h"
#include "tests/integration/training.h"

namespace cloze {
namespace {

class JobConfigTest : public TrainingTest {
 protected:
  static std::filesystem::path source() { return CLOZE_SOURCE_DIR; }
  // The program with a byte more at its end, which changes nothing that it does.
  std::string other_build() const {
    std::string path = run_folder("cloze-other").string();
    std::filesystem::copy(CLOZE_BINARY, path);
    std::ofstream(path, std::ios::app | std::ios::binary) << 'x';
    return path;
  }
  Outcome train_with(const std::string& variable, int ranks, const Words& settings) const {
    return run_process(Words{"/usr/bin/env", variable} + command(ranks, "a", settings),
                       workspace());
  }
};

TEST_F(JobConfigTest, RunsKeepTheResolvedConfigWithTheOriginOfEachKey) {
  expect_done(train(0, "a", {"run.steps=3", "optimizer.lr=1e-3"}));
  const std::string text = text_of_file(run_folder("a") / "config.yaml");
  for (const char* line :
       {"  lr: 0\\.001 +# --set\n", "  steps: 3 +# --set\n", "  seed: 7 +# config\\.yaml:2:\\d+\n",
        "  eps: 1\\.0e-08 +# default\n", "  num_key_value_heads: 4 +# derived\n"}) {
    EXPECT_TRUE(std::regex_search(text, std::regex(line))) << line << text;
  }
  const Outcome shown =
      cloze({"config", "show", "config.yaml", "--set", "run.steps=3", "--set", "optimizer.lr=1e-3",
             "--set", "run.directory=" + run_folder("a").lexically_relative(workspace()).string()});
  EXPECT_EQ(shown.out, text) << "the run keeps what cloze config show prints";
  const Outcome inspected = cloze({"inspect", step_folder("a", 3).string(), "--json"});
  expect_done(inspected);
  EXPECT_EQ(nlohmann::json::parse(inspected.out).at("config"), text) << "so does every checkpoint";
}

TEST_F(JobConfigTest, AKeyThatAnOptionDisablesIsANoticeOfEveryCommand) {
  std::string text = text_of_file(workspace() / "config.yaml");
  const std::string constant = "{kind: constant, warmup: 0}";
  ASSERT_NE(text.find(constant), std::string::npos);
  text.replace(text.find(constant), constant.size(), "{kind: cosine, min_lr: 1e-5}");
  std::ofstream(workspace() / "notice.yaml") << text;
  const std::string notice = "notice: schedule.min_lr of notice.yaml:";
  const Outcome used = cloze({"config", "check", "notice.yaml"});
  expect_done(used);
  EXPECT_EQ(used.out.find("notice: "), std::string::npos) << used.out;

  const Words option = {"--set", "schedule.kind=constant"};
  const Outcome checked = cloze(Words{"config", "check", "notice.yaml"} + option);
  expect_done(checked);
  EXPECT_EQ(count_of(checked.out, notice), 1U) << checked.out;
  const Outcome trained = cloze(Words{"train", "notice.yaml", "--set", "run.steps=1", "--set",
                                      "run.directory=" + run_folder("n").string()} +
                                option);
  expect_done(trained);
  EXPECT_EQ(count_of(trained.err, notice), 1U) << trained.err;
}

TEST_F(JobConfigTest, KeepAndKeepEveryChooseTheCheckpointsThatStay) {
  expect_done(train(
      0, "a",
      {"run.steps=9", "checkpoint.interval=1", "checkpoint.keep=2", "checkpoint.keep_every=3"}));
  for (std::int64_t step = 1; step <= 9; ++step) {
    EXPECT_EQ(std::filesystem::exists(step_folder("a", step)), step % 3 == 0 || step == 8) << step;
  }
}

TEST_F(JobConfigTest, TheHeaderTellsModelLayoutBatchScheduleAndMemory) {
  const Outcome outcome =
      train(4, "a",
            {"run.steps=1", "parallel.tensor=2", "parallel.pipeline=2", "run.name=\"my run\"",
             "precision.compute=bf16", "schedule.kind=cosine", "schedule.warmup=10%"});
  expect_done(outcome);
  for (const std::string line :
       {R"(cloze \| run my run in \S+/a \| seed 7\n)", R"(system \| \S.*\n)",
        R"(model \| glm4, 4 layers, hidden 32, vocabulary \d+, [\d.]+ k parameters, bf16\n)",
        (R"(layout \| 4 ranks = pipeline 2 x data 1 x tensor 2.*, ZeRO 1, )"
         R"(layers by stage \[2, 2\], \d+ threads? a rank\n)"),
        R"(batch \| \d+ rows of 64 tokens, \d+ a microbatch\n)",
        R"(schedule \| 1 steps, cosine to lr 0\.003, warm-up 10%\n)",
        (R"(memory \| parameters [\d.]+ [KM]iB, gradients [\d.]+ [KM]iB, optimizer [\d.]+ )"
         R"([KM]iB, activations [\d.]+ [KM]iB; )"
         R"(at most [\d.]+ [KM]iB at a time on the largest rank\n)")}) {
    EXPECT_TRUE(std::regex_search(outcome.out, std::regex("(^|\n)" + line))) << line << outcome.out;
  }
}

// Directories as people have them.
TEST_F(JobConfigTest, RunDirectoriesOfAnyNameWorkOrAreRefused) {
  const std::string base = run_folder("x").parent_path().filename().string() + "/";
  std::string deep = base;
  while (deep.size() < 3800) deep += "/" + std::string(120, 'd');
  const Words settings = {"run.steps=1", "log.tensorboard=true"};
  for (const std::string& directory :
       Words{base + "a b/ü 语料 é", base + "it's #1, {really}: [yes]", "./" + base + "x/../y",
             (workspace() / base / "absolute").string(), base + "trailing/", deep}) {
    // In double quotes the text stands as it is.
    expect_done(train(0, "unused", Words{"run.directory=\"" + directory + "\""} + settings));
    EXPECT_TRUE(std::filesystem::exists(workspace() / directory / "checkpoints/step-00000001"))
        << directory;
    EXPECT_TRUE(std::filesystem::exists(workspace() / directory / "metrics.jsonl")) << directory;
    const Outcome again =
        train(0, "unused", Words{"run.directory=\"" + directory + "\"", "run.steps=2"});
    expect_done(again);
    EXPECT_NE(again.out.find("resume | after step 1"), std::string::npos) << directory;
  }
  const std::string component(300, 'c');
  for (const std::string& directory :
       Words{std::string(4096, 'p'), base + repeated("p/", 4096), base + component, "~/runs",
             "$HOME/runs", base + repeated("p/", 4000)}) {
    expect_failure(train(0, "unused", {"run.directory=" + directory}), 64, {"run.directory"});
  }
  expect_failure(train(0, "unused", {"run.directory=\"a\\0b\""}), 64, {"control character"});
}

TEST_F(JobConfigTest, AWrongNumberOfRanksGetsTheLayoutsThatFit) {
  const Outcome outcome = train(4, "a", {"parallel.tensor=2", "parallel.pipeline=3"});
  expect_failure(outcome, 64,
                 {"tensor 2 * pipeline 3 * context 1 = 6 does not divide the 4 ranks of the job",
                  "layouts that fit (tensor x pipeline x data): ", "2 x 2 x 1", "1 x 4 x 1",
                  "1 x 1 x 4", "4 x 1 x 1"});
  EXPECT_FALSE(std::filesystem::exists(run_folder("a")));
}

TEST_F(JobConfigTest, RanksWithAnotherConfigAreNamed) {
  const Outcome outcome =
      train_mixed(3, command(0, "a"), command(0, "a", {"run.seed=8", "log.interval=2"}));
  expect_failure(
      outcome, 64,
      {"rank 3 has another config: run.seed 8 instead of 7, log.interval 2 instead of 1"});
  EXPECT_FALSE(std::filesystem::exists(run_folder("a"))) << "nothing was begun";
}

TEST_F(JobConfigTest, RanksWithAnotherResumeAreNamed) {
  expect_failure(train_mixed(1, command(0, "a"), command(0, "a", {"--resume", "strict"})), 64,
                 {"has another --resume or --allow-change"});
}

TEST_F(JobConfigTest, RanksWithAnotherBuildAreNamed) {
  Words other = command(0, "a");
  other[0] = other_build();
  const Outcome outcome = train_mixed(3, command(0, "a"), other);
  expect_failure(outcome, 64, {"rank 3 has another build of the program: program: ", " -> "});
  EXPECT_FALSE(std::filesystem::exists(run_folder("a"))) << "nothing was begun";
}

TEST_F(JobConfigTest, MalformedThreadsOfTheEnvironmentAre64) {
  for (const std::string value : {"abc", "0", "-1", "", "4,"}) {
    expect_failure(train_with("OMP_NUM_THREADS=" + value, 0, {"run.threads=auto"}), 64,
                   {"OMP_NUM_THREADS is '" + value + "'", "from 1 to 4096"});
  }
  // Also when run.threads would win.
  expect_failure(train_with("OMP_NUM_THREADS=abc", 0, {"run.threads=1"}), 64,
                 {"OMP_NUM_THREADS is 'abc'"});
  expect_failure(train_with("OMP_NUM_THREADS=abc", 2, {}), 64, {"OMP_NUM_THREADS is 'abc'"});
}

TEST_F(JobConfigTest, TheFirstOfAListOfThreadsCounts) {
  const Outcome outcome = train_with("OMP_NUM_THREADS=2,1", 0, {"run.threads=auto", "run.steps=1"});
  expect_done(outcome);
  EXPECT_NE(outcome.out.find("2 threads a rank"), std::string::npos) << outcome.out;
}

TEST_F(JobConfigTest, AModeThatMklDoesNotKnowIs64) {
  expect_failure(train_with("MKL_CBWR=AVX-512", 0, {}), 64, {"MKL_CBWR is 'AVX-512'"});
}

TEST_F(JobConfigTest, ADeviceThatIsNoneIs64) {
  expect_failure(train(0, "a", {"--device", "tpu"}), 64, {"--device"});
  expect_failure(train(0, "a", {"--share-gpus"}), 64, {"--share-gpus without --device cuda"});
}

// The program needs nothing of CUDA to start, and says what it misses.
TEST_F(JobConfigTest, WithoutAGpuTheDeviceCudaIs64) {
  if (std::filesystem::exists("/proc/driver/nvidia/version")) GTEST_SKIP() << "there is a driver";
  for (const int ranks : {0, 2}) {
    expect_failure(train(ranks, "a", {"--device", "cuda"}), 64, {"phase=gpu", "--device cpu"});
  }
  expect_failure(train(2, "a", {"--device", "cuda", "--share-gpus"}), 64, {"phase=gpu"});
}

// Before anything of NCCL is opened, and once for all ranks.
TEST_F(JobConfigTest, AnAddressForNcclIs64) {
  for (const int ranks : {0, 2}) {
    expect_failure(train_with("NCCL_COMM_ID=10.0.0.1:4000", ranks, {"--device", "cuda"}), 64,
                   {"NCCL_COMM_ID is set, to '10.0.0.1:4000'", "unset it"});
  }
}

TEST_F(JobConfigTest, CheckpointsRecordWhatTheirBitsDependOn) {
  expect_done(train(2, "a", {"run.steps=3"}));
  const Outcome inspected = cloze({"inspect", step_folder("a", 3).string(), "--json"});
  const nlohmann::json numerics = nlohmann::json::parse(inspected.out).at("numerics");
  for (const char* name : {"program", "libtorch", "mkl", "onednn", "processor", "instruction_set",
                           "products", "MKL_CBWR"}) {
    EXPECT_FALSE(numerics.at(name).get<std::string>().empty()) << name;
    EXPECT_EQ(numerics.at(name).get<std::string>().find("on rank"), std::string::npos)
        << "the ranks of one machine do not differ";
  }
  EXPECT_EQ(numerics.at("MKL_CBWR"),
            __builtin_cpu_supports("avx512f") ? "AVX512,STRICT" : "AVX2,STRICT");
  const Outcome shown = cloze({"inspect", step_folder("a", 3).string()});
  EXPECT_NE(shown.out.find("\nnumerics:\n  MKL_CBWR: AVX"), std::string::npos) << shown.out;

  const Outcome same = train(2, "a", {"run.steps=4"});
  expect_done(same);
  EXPECT_EQ(count_of(same.err, "numerics"), 0U) << same.err;
}

TEST_F(JobConfigTest, OtherNumericsOnResumeAreToldAndJournaled) {
  expect_done(train(0, "a", {"run.steps=3"}));
  const Outcome changed = train_with("MKL_CBWR=COMPATIBLE", 0, {"run.steps=4"});
  expect_done(changed);
  EXPECT_EQ(count_of(changed.err, "warning"), 1U) << changed.err;
  EXPECT_NE(changed.err.find(",STRICT -> COMPATIBLE; the last bits may differ"), std::string::npos)
      << changed.err;
  Words names;
  for (const nlohmann::json& event : events("a")) {
    if (event.at("event") != "numerics_change") continue;
    names.push_back(event.at("name"));
    EXPECT_EQ(event.at("step"), 3);
    EXPECT_EQ(event.at("after"), "COMPATIBLE");
  }
  EXPECT_EQ(names, Words{"MKL_CBWR"});

  // Back again is a change, too, and another build is one.
  Words other = command(0, "a", {"run.steps=5"});
  other[0] = other_build();
  const Outcome built = run_process(other, workspace());
  expect_done(built);
  EXPECT_EQ(count_of(built.err, "warning: numerics: "), 2U) << built.err;
  EXPECT_NE(built.err.find("numerics: program: "), std::string::npos) << built.err;
  EXPECT_NE(built.err.find("COMPATIBLE -> "), std::string::npos) << built.err;
}

TEST_F(JobConfigTest, TilesWhereThereAreNoneAre64) {
  for (const int ranks : {0, 2}) {
    expect_failure(
        train_with("GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F", ranks, {"precision.products=tiles"}),
        64, {"precision.products is tiles", "leave it at library"});
  }
}

TEST_F(JobConfigTest, AResumeWithOtherProductsIsAllowedAndTold) {
  if (!has_tile_unit()) GTEST_SKIP() << "this processor has no tile unit";
  expect_done(train(0, "a", {"run.steps=2", "precision.products=tiles"}));
  const Outcome resumed = train(0, "a", {"run.steps=3", "precision.products=library"});
  expect_done(resumed);
  EXPECT_EQ(count_of(resumed.err, "products: tiles -> library; the last bits may differ"), 1U)
      << resumed.err;
}

TEST_F(JobConfigTest, RanksThatDifferAreToldAtTheStart) {
  const Words one = {"/usr/bin/env", "MKL_CBWR=COMPATIBLE"};
  const Outcome outcome =
      train_mixed(1, command(0, "a", {"run.steps=1"}), one + command(0, "a", {"run.steps=1"}));
  expect_done(outcome);
  EXPECT_EQ(count_of(outcome.err, "the ranks differ in MKL_CBWR"), 1U) << outcome.err;
  EXPECT_NE(outcome.err.find("COMPATIBLE on rank 1"), std::string::npos) << outcome.err;
}

// The whole diff is shown with its classes, also when some of it is refused.
TEST_F(JobConfigTest, TheDifferencesOfAResumeAreShownWithTheirClasses) {
  expect_done(train(2, "a", {"run.steps=3"}));
  const Words mixed = {"run.steps=4",      "model.norm_eps=1e-6", "optimizer.lr=1e-3",
                       "optimizer.clip=2", "log.interval=2",      "parallel.tensor=2",
                       "--allow-change",   "optimizer.clip"};
  const Outcome refused = train(2, "a", mixed);
  expect_failure(refused, 64,
                 {"model.norm_eps: 1.0e-05 -> 1.0e-06 (forbidden)",
                  "optimizer.lr: 0.003 -> 0.001 (run-changing)", "--allow-change optimizer.lr",
                  "run.initial"});
  EXPECT_EQ(refused.err.find("optimizer.clip"), std::string::npos) << "it is allowed";
  EXPECT_EQ(refused.err.find("log.interval"), std::string::npos) << "it is harmless";
  for (const char* line :
       {"config: run.steps: 3 -> 4 (harmless)\n",
        "config: model.norm_eps: 1.0e-05 -> 1.0e-06 (forbidden)\n",
        "config: optimizer.lr: 0.003 -> 0.001 (run-changing)\n",
        "config: optimizer.clip: 1 -> 2 (run-changing)\n",
        "config: log.interval: 1 -> 2 (harmless)\n", "config: parallel.tensor: 1 -> 2 (harmless)\n",
        "config: parallel.sequence: false -> true (harmless)\n"}) {
    EXPECT_EQ(count_of(refused.out, line), 1U) << line << refused.out;
  }
  EXPECT_EQ(count_of(refused.out, "config: "), 7U) << refused.out;
}

}  // namespace
}  // namespace cloze
