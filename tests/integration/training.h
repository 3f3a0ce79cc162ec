// Whole runs of `cloze train` on a small text that the tests make themselves, alone and under
// mpirun.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace cloze {

using Words = std::vector<std::string>;

// Names of tensors, moments included, to the digest of their elements in row-major order.
using Contents = std::map<std::string, std::string>;

class TrainingTest : public testing::Test {
 protected:
  // A folder with text, a tokenizer of it, shards and config.yaml: once per process.
  static void SetUpTestSuite();
  void SetUp() override;  // An empty run folder for each test.

  // The command on `ranks` ranks, 0: without mpirun. `settings` are texts of --set, behind
  // run.directory; what starts with "--" begins the other options.
  Words command(int ranks, const std::string& run, const Words& settings = {}) const;
  Outcome train(int ranks, const std::string& run, const Words& settings = {}) const;
  std::unique_ptr<Process> start(int ranks, const std::string& run,
                                 const Words& settings = {}) const;
  // A job of `first` ranks of one command and one rank of another.
  static Outcome train_mixed(int first, const Words& words, const Words& others);
  Outcome cloze(const Words& arguments) const;
  // A script of the repository in the Python that has the oracles; scripts/setup installs it.
  static Outcome python(const std::string& script, const Words& arguments);

  static const std::filesystem::path& workspace();
  std::filesystem::path run_folder(const std::string& run) const;
  std::filesystem::path step_folder(const std::string& run, std::int64_t step) const;
  // A new run with nothing but one checkpoint of another.
  void copy_step(const std::string& from, std::int64_t step, const std::string& to) const;

  std::vector<nlohmann::json> metrics(const std::string& run) const;
  std::vector<nlohmann::json> events(const std::string& run) const;
  std::vector<double> losses(const std::string& run) const;
  Contents contents(const std::string& run, std::int64_t step) const;
  Contents weights(const std::string& run, std::int64_t step) const;  // Without the moments.

  // Waits until the run has logged `steps` steps.
  bool reaches(const std::string& run, std::size_t steps) const;

 private:
  std::filesystem::path folder_;  // Of this test, below the workspace.
};

// Expects an end with `code` that one FATAL line tells of, with all of `parts` in it.
void expect_failure(const Outcome& outcome, int code, const Words& parts = {});
void expect_done(const Outcome& outcome);

// Without their ends.
Words lines_of_text(const std::string& text);
std::size_t count_of(const std::string& text, const std::string& part);
// What stands before a command that runs on `ranks` ranks of this machine.
Words mpirun_words(int ranks);
// The unit again and again, cut off at `size` bytes.
std::string repeated(const std::string& unit, std::size_t size);

// Settings of the GLM block of 2021, with dropout, for the config of the tests.
Words glm2021_settings();
Words operator+(Words first, const Words& second);

}  // namespace cloze
