// `cloze doctor` as a whole program: alone, under mpirun, and where something is wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "tests/integration/training.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

using Json = nlohmann::json;

class DoctorTest : public testing::Test {
 protected:
  DoctorTest() { std::filesystem::create_directories(folder_ / "empty"); }

  // The program behind `wrap`, the words of a launcher or a shell.
  Outcome doctor(const Words& wrap, const Words& options = {}) const {
    Words words = wrap;
    if (words.empty() || words.front() != "/bin/bash") {
      words.insert(words.begin(), {"/usr/bin/env", "OMP_NUM_THREADS=1"});
    }
    words = words + Words{CLOZE_BINARY, "doctor"} + options;
    if (std::ranges::find(options, "--directory") == options.end()) {
      words = words + Words{"--directory", (folder_ / "empty").string()};
    }
    return run_process(words, folder_);
  }
  static Words shell(const std::string& before) {
    return {"/bin/bash", "-c", before + "; exec \"$@\"", "bash"};
  }
  static Words mpirun(int ranks, const Words& options = {}) {
    return mpirun_words(ranks) + options;
  }

  const ScratchFolder scratch_{"doctor"};
  const std::filesystem::path& folder_ = scratch_.path();
};

// The one object of a report.
Json report_of(const Outcome& outcome) {
  const Json report = Json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(report.is_object()) << outcome.out << outcome.err;
  return report;
}

Json check_of(const Json& report, const std::string& name) {
  for (const Json& check : report.at("checks")) {
    if (check.at("name") == name) return check;
  }
  ADD_FAILURE() << name << " is not in " << report;
  return {};
}

void expect_whole(const Json& report) {
  std::map<std::string, int> counts;
  for (const Json& check : report.at("checks")) {
    for (const char* key : {"name", "status", "value", "unit", "detail", "fix", "where"}) {
      EXPECT_TRUE(check.contains(key)) << key << " is not in " << check;
    }
    const std::string status = check.at("status");
    ++counts[status];
    const bool bad = status == "warn" || status == "fail";
    EXPECT_EQ(bad, !check.at("fix").get<std::string>().empty()) << check;
    EXPECT_TRUE(check.at("value").is_number() || check.at("unit").get<std::string>().empty())
        << check;
  }
  for (const char* status : {"ok", "skip", "warn", "fail"}) {
    EXPECT_EQ(report.at(status), counts[status]) << status;
  }
}

// On a busy host the speeds may be bad; nothing else may.
void expect_healthy(const Json& report) {
  expect_whole(report);
  for (const Json& check : report.at("checks")) {
    EXPECT_NE(check.at("status"), "fail") << check;
  }
}

TEST_F(DoctorTest, AloneEveryGroupIsLookedAtAndNothingIsLeft) {
  const Outcome outcome = doctor({}, {"--json"});
  expect_done(outcome);
  const Json report = report_of(outcome);
  expect_healthy(report);
  for (const char* name : {"cpu.model",
                           "cpu.cores",
                           "cpu.binding",
                           "cpu.simd",
                           "cpu.kernels",
                           "cpu.libtorch",
                           "cpu.gemm_thread",
                           "cpu.gemm_rank",
                           "memory.available",
                           "memory.huge_pages",
                           "cgroup.memory",
                           "cgroup.cpu",
                           "limit.open_files",
                           "limit.locked_memory",
                           "limit.processes",
                           "limit.core_size",
                           "limit.file_size",
                           "shm.free",
                           "disk.directory",
                           "disk.type",
                           "disk.free",
                           "disk.inodes",
                           "disk.write",
                           "disk.sync",
                           "disk.rename",
                           "mpi.library",
                           "mpi.mpirun",
                           "mpi.start",
                           "gpu",
                           "gpu.environment",
                           "gpu.driver",
                           "gpu.runtime",
                           "gpu.torch",
                           "gpu.kernels",
                           "gpu.nccl",
                           "fabric",
                           "clock.time",
                           "clock.zone",
                           "locale"}) {
    check_of(report, name);
  }
  EXPECT_EQ(check_of(report, "fabric").at("status"), "skip");
  EXPECT_EQ(check_of(report, "mpi.start").at("status"), "ok");
  EXPECT_EQ(check_of(report, "cpu.libtorch").at("status"), "ok");
  EXPECT_GT(check_of(report, "cpu.gemm_thread").at("value"), 1e6);
  EXPECT_GT(check_of(report, "disk.write").at("value"), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "empty"));
}

// Where there is a GPU, another test's machine shows what is there.
TEST_F(DoctorTest, WithoutAGpuNothingIsWrongUntilOneIsAskedFor) {
  if (std::filesystem::exists("/dev/nvidiactl")) GTEST_SKIP() << "there may be a GPU";
  for (const Words& launcher : {Words{}, mpirun(2)}) {
    const Outcome outcome = doctor(launcher, {"--json"});
    expect_done(outcome);
    for (const Json& check : report_of(outcome).at("checks")) {
      const std::string name = check.at("name");
      if (name != "gpu" && !name.starts_with("gpu.")) continue;
      EXPECT_TRUE(check.at("status") == "ok" || check.at("status") == "skip") << check;
    }
    EXPECT_EQ(check_of(report_of(outcome), "gpu").at("value"), "none");

    const Outcome asked = doctor(launcher, {"--json", "--device", "cuda"});
    expect_failure(asked, 64, {"gpu", "phase=doctor", "--device cpu"});
    const Json report = report_of(asked);
    expect_whole(report);
    EXPECT_EQ(check_of(report, "gpu").at("status"), "fail");
    EXPECT_EQ(check_of(report, "gpu.runtime").at("status"), "fail");
    EXPECT_EQ(check_of(report, "cpu.model").at("status"), "ok") << "the rest is still told";

    const Outcome refused = doctor(launcher, {"--json", "--device", "cpu"});
    expect_done(refused);
    EXPECT_EQ(check_of(report_of(refused), "gpu").at("status"), "skip");
  }
}

// Training would say the same of what is missing first.
TEST_F(DoctorTest, WhatIsMissingForGpusIsToldAsTrainingTellsIt) {
  if (std::filesystem::exists("/dev/nvidiactl")) GTEST_SKIP() << "there may be a GPU";
  const Json check = check_of(report_of(doctor({}, {"--json", "--device", "cuda"})), "gpu.runtime");
  const Outcome training =
      run_process({CLOZE_BINARY, "train", "none.yaml", "--device", "cuda"}, folder_);
  expect_failure(training, 64, {check.at("detail"), check.at("fix")});
}

TEST_F(DoctorTest, AnAddressForNcclFailsWhereGpusAreAskedFor) {
  const Outcome outcome =
      doctor(shell("export NCCL_COMM_ID=127.0.0.1:5000"), {"--json", "--device", "cuda"});
  EXPECT_EQ(outcome.code, 64);
  const Json check = check_of(report_of(outcome), "gpu.environment");
  EXPECT_EQ(check.at("status"), "fail");
  EXPECT_EQ(check.at("value"), "NCCL_COMM_ID is set");
  EXPECT_NE(check.at("detail").get<std::string>().find("127.0.0.1:5000"), std::string::npos);
}

TEST_F(DoctorTest, SharingNothingIsAWrongCommandLine) {
  expect_failure(doctor({}, {"--share-gpus"}), 64, {"--share-gpus without --device cuda"});
}

TEST_F(DoctorTest, LinesHaveTheirPattern) {
  const Outcome outcome = doctor({});
  expect_done(outcome);
  static const std::regex line_pattern(R"((ok|skip|warn|fail) +([a-z_.]+) +\S.*)");
  static const std::regex last_pattern(R"([0-9]+ ok, [0-9]+ skipped, [0-9]+ warnings?, 0 failed)");
  std::vector<std::string> lines;
  std::istringstream text(outcome.out);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  ASSERT_GT(lines.size(), 20U);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    EXPECT_TRUE(std::regex_match(lines[i], line_pattern)) << lines[i];
  }
  EXPECT_TRUE(std::regex_match(lines.back(), last_pattern)) << lines.back();
}

TEST_F(DoctorTest, TwoRanksMeasureWhatLiesBetweenThem) {
  const Outcome outcome = doctor(mpirun(2), {"--json"});
  expect_done(outcome);
  const Json report = report_of(outcome);
  expect_healthy(report);
  EXPECT_EQ(check_of(report, "mpi.ranks").at("value"), 2);
  EXPECT_EQ(check_of(report, "fabric.hosts").at("value"), "2 ranks on 1 host");
  EXPECT_NE(check_of(report, "fabric.hosts").at("detail").get<std::string>().find("0-1"),
            std::string::npos);
  EXPECT_GT(check_of(report, "fabric.latency").at("value"), 0);
  EXPECT_GT(check_of(report, "fabric.bandwidth").at("value"), 0);
  EXPECT_GT(check_of(report, "fabric.all_reduce").at("value"), 0);
  EXPECT_EQ(check_of(report, "fabric.deadline").at("value"), 600);
  // One host has one clock; what is measured is the time that messages take.
  const Json skew = check_of(report, "clock.skew");
  EXPECT_EQ(skew.at("status"), "ok");
  EXPECT_EQ(skew.at("unit"), "us");
  EXPECT_LT(std::abs(skew.at("value").get<double>()), 1e6);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "empty"));
}

TEST_F(DoctorTest, ARankBoundToOneCoreWithTwoThreadsIsWarnedOf) {
  // What mpirun does to one or two ranks when nobody tells it not to.
  const Words bound = {"/usr/bin/env",
                       "OMPI_ALLOW_RUN_AS_ROOT=1",
                       "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                       "OMP_NUM_THREADS=2",
                       "mpirun",
                       "--bind-to",
                       "core",
                       "-n",
                       "1"};
  const Outcome outcome = run_process(
      bound + Words{CLOZE_BINARY, "doctor", "--json", "--directory", (folder_ / "empty").string()},
      folder_);
  expect_done(outcome);
  const Json binding = check_of(report_of(outcome), "cpu.binding");
  EXPECT_EQ(binding.at("status"), "warn") << outcome.out;
  EXPECT_NE(binding.at("fix").get<std::string>().find("--bind-to none"), std::string::npos);
}

TEST_F(DoctorTest, TheMpirunOfAnotherMpiFails) {
  std::filesystem::create_directories(folder_ / "bin");
  const std::filesystem::path fake = folder_ / "bin" / "mpirun";
  std::ofstream(fake) << "#!/bin/sh\necho 'HYDRA build details:'\necho '    Version:      4.0.2'\n";
  std::filesystem::permissions(fake, std::filesystem::perms::owner_all);
  const Outcome outcome =
      doctor(shell("export PATH=" + (folder_ / "bin").string() + ":$PATH"), {"--json"});
  expect_failure(outcome, 64, {"mpi.mpirun", "phase=doctor"});
  const Json check = check_of(report_of(outcome), "mpi.mpirun");
  EXPECT_EQ(check.at("status"), "fail");
  EXPECT_EQ(check.at("value"), "MPICH 4.0.2");
  EXPECT_NE(check.at("detail").get<std::string>().find(fake.string()), std::string::npos) << check;
}

TEST_F(DoctorTest, AnMpirunThatSaysNothingIsAWarning) {
  std::filesystem::create_directories(folder_ / "bin");
  const std::filesystem::path fake = folder_ / "bin" / "mpirun";
  std::ofstream(fake) << "#!/bin/sh\nexit 1\n";
  std::filesystem::permissions(fake, std::filesystem::perms::owner_all);
  const Outcome outcome =
      doctor(shell("export PATH=" + (folder_ / "bin").string() + ":$PATH"), {"--json"});
  expect_done(outcome);
  EXPECT_EQ(check_of(report_of(outcome), "mpi.mpirun").at("status"), "warn");
}

TEST_F(DoctorTest, AFolderThatCannotBeWrittenFailsOnceForAllRanks) {
  for (const Words& launcher : {Words{}, mpirun(2)}) {
    const Outcome outcome = doctor(launcher, {"--json", "--directory", "/proc/self"});
    expect_failure(outcome, 64, {"disk.directory"});
  }
  const Outcome absent = doctor({}, {"--directory", (folder_ / "absent").string()});
  expect_failure(absent, 64, {"disk.directory", "No such file"});
}

TEST_F(DoctorTest, FewOpenFilesFail) {
  const Outcome outcome = doctor(shell("ulimit -n 100"), {"--json"});
  expect_failure(outcome, 64, {"limit.open_files"});
  EXPECT_EQ(check_of(report_of(outcome), "limit.open_files").at("value"), 100);
}

TEST_F(DoctorTest, AFullSharedMemoryFailsAndTheRestIsStillTold) {
  const Words unshared = {"/usr/bin/unshare",
                          "--user",
                          "--map-root-user",
                          "--mount",
                          "/bin/bash",
                          "-c",
                          "mount -t tmpfs -o size=64k none /dev/shm && exec \"$@\"",
                          "bash"};
  if (run_process(unshared + Words{"/bin/true"}, folder_).code != 0) {
    GTEST_SKIP() << "this kernel lets no user mount";
  }
  const Outcome outcome = doctor(unshared, {"--json"});
  expect_failure(outcome, 64, {"shm.free"});
  const Json report = report_of(outcome);
  expect_whole(report);
  EXPECT_EQ(check_of(report, "shm.free").at("status"), "fail");
  EXPECT_EQ(check_of(report, "shm.free").at("value"), 65536);
  check_of(report, "disk.write");
}

TEST_F(DoctorTest, WithoutProcAndSysEveryCheckSaysUnknown) {
  // An empty /sys, and a /proc that shows a process nothing but itself.
  const Words unshared = {"/usr/bin/unshare",
                          "--user",
                          "--map-root-user",
                          "--mount",
                          "/bin/bash",
                          "-c",
                          ("mount -t tmpfs none /sys && mount --bind /dev/null /proc/cpuinfo && "
                           "mount --bind /dev/null /proc/meminfo && exec \"$@\""),
                          "bash"};
  if (run_process(unshared + Words{"/bin/true"}, folder_).code != 0) {
    GTEST_SKIP() << "this kernel lets no user mount";
  }
  const Outcome outcome = doctor(unshared, {"--json"});
  const Json report = report_of(outcome);
  expect_whole(report);
  for (const char* name : {"cpu.model", "cpu.simd", "memory.available", "memory.huge_pages"}) {
    EXPECT_EQ(check_of(report, name).at("status"), "skip") << name;
    EXPECT_TRUE(check_of(report, name).at("value").is_null()) << name;
  }
  // Some CPUs' caches are known to LibTorch from there alone, and then it dies of a signal.
  const bool works = check_of(report, "cpu.libtorch").at("status") == "ok";
  EXPECT_EQ(outcome.code, works ? 0 : 64) << outcome.out << outcome.err;
  EXPECT_EQ(check_of(report, "cpu.gemm_rank").at("status") == "skip", !works);
}

TEST_F(DoctorTest, CommandLineErrorsAre64) {
  expect_failure(doctor({}, {"--nothing"}), 64, {"--nothing"});
  expect_failure(doctor(mpirun(2), {"--nothing"}), 64, {"--nothing"});
}

TEST_F(DoctorTest, AReaderThatGoesAwayIs74) {
  const Outcome outcome = run_process(
      {"/bin/bash", "-c", "\"$0\" doctor --directory . > /dev/full", CLOZE_BINARY}, folder_);
  expect_failure(outcome, 74, {"standard output"});
}

using TrainLinesTest = TrainingTest;

// The pattern that docs/train.md promises to those who read logs, on the lines of real runs.
TEST_F(TrainLinesTest, StepsAndHeaderKeepTheirPattern) {
  std::vector<std::regex> patterns;
  std::istringstream page(text_of_file(std::filesystem::path(CLOZE_SOURCE_DIR) / "docs/train.md"));
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("^step ")) patterns.emplace_back(line);
  }
  ASSERT_EQ(patterns.size(), 2U);
  const std::string version =
      check_of(report_of(cloze({"doctor", "--json"})), "mpi.library").at("value");
  for (const int ranks : {0, 2}) {
    const Outcome outcome =
        train(ranks, "on-" + std::to_string(ranks), {"validation.interval=3", "validation.rows=5"});
    expect_done(outcome);
    std::vector<int> matches(patterns.size());
    std::istringstream text(outcome.out);
    for (std::string line; std::getline(text, line);) {
      int found = 0;
      for (std::size_t i = 0; i < patterns.size(); ++i) {
        if (!std::regex_match(line, patterns[i])) continue;
        ++matches[i];
        ++found;
      }
      EXPECT_EQ(found, line.starts_with("step ") ? 1 : 0) << line;
    }
    EXPECT_EQ(matches, (std::vector<int>{6, 2})) << outcome.out;
    const std::regex system(R"(\nsystem \| [^|\n]+, AVX(2|-512), )" + version +
                            R"(, LibTorch 2\.[0-9.]+\n)");
    EXPECT_TRUE(std::regex_search(outcome.out, system)) << version << " in " << outcome.out;
  }
}

}  // namespace
}  // namespace cloze
