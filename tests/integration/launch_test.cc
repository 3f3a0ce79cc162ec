// `cloze launch` over real ranks: codes, signals, restarts, and nothing left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <regex>
#include <string>

#include "tests/integration/training.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/manifest.h"

namespace cloze {
namespace {

using std::chrono::seconds;

// So long that no test sees the end.
const char* const kLong = "run.steps=1000000";

class LaunchTest : public TrainingTest {
 protected:
  static void SetUpTestSuite() { TrainingTest::SetUpTestSuite(); }

  // `options` are launch's and train's; `settings` are texts of --set.
  Words launch_command(const std::string& run, const Words& settings,
                       const Words& options = {}) const {
    Words words = Words{CLOZE_BINARY, "launch", "-n", "2"} + options +
                  Words{"config.yaml", "--set", "run.directory=" + run_folder(run).string()};
    for (const std::string& setting : settings) words = words + Words{"--set", setting};
    return words;
  }
  Outcome launch(const std::string& run, const Words& settings, const Words& options = {}) const {
    return run_process(launch_command(run, settings, options), workspace());
  }
  std::unique_ptr<Process> start_launch(const std::string& run, const Words& settings,
                                        const Words& options = {}) const {
    return std::make_unique<Process>(launch_command(run, settings, options), workspace());
  }

  // A folder with a program `name` that is a shell script; for PATH.
  std::filesystem::path stand_in(const std::string& name, const std::string& script) const {
    const std::filesystem::path folder = run_folder("bin");
    std::filesystem::create_directories(folder);
    std::ofstream(folder / name) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(folder / name, std::filesystem::perms::owner_all);
    return folder;
  }
  Outcome launch_with_path(const std::string& path, const Words& options = {}) const {
    return run_process(Words{"/usr/bin/env", "PATH=" + path} + launch_command("a", {}, options),
                       workspace());
  }

  Words event_names(const std::string& run) const {
    Words names;
    for (const nlohmann::json& event : events(run)) names.push_back(event.at("event"));
    return names;
  }
};

// What mpirun says of ranks that ended is not shown.
void expect_no_paragraphs(const Outcome& outcome) {
  EXPECT_EQ(count_of(outcome.err, "----------"), 0U) << outcome.err;
}

bool all_end(const std::vector<pid_t>& processes) {
  return wait_until([&] { return std::none_of(processes.begin(), processes.end(), is_alive); },
                    seconds(10));
}

TEST_F(LaunchTest, TrainsAsMpirunDoes) {
  const Outcome outcome = launch("a", {});
  expect_done(outcome);
  expect_no_paragraphs(outcome);
  EXPECT_EQ(count_of("\n" + outcome.out, "\nstep "), 6U) << "nothing stands before a line\n"
                                                         << outcome.out;
  expect_done(train(2, "b"));
  EXPECT_EQ(contents("a", 6), contents("b", 6));
}

TEST_F(LaunchTest, OptionsOfTrainArePassedOn) {
  expect_done(launch("a", {"run.steps=1"}));
  const Outcome refused = launch("a", {}, {"--resume", "none"});
  expect_failure(refused, 64, {"holds checkpoints"});  // The ranks say it, not launch.
  expect_no_paragraphs(refused);
  expect_failure(launch("a", {"optimizer.kind=adamw", "run.seed=8"}), 64, {"run.seed"});
  expect_done(launch("a", {"run.seed=8"}, {"--allow-change", "run.seed"}));
}

TEST_F(LaunchTest, CodesArePassedOnWithOneLine) {
  const Outcome config = launch("a", {"run.stepps=3"});
  expect_failure(config, 64, {"run.stepps", "run.steps"});
  const Outcome input = launch("a", {"data.tokenizer=absent"}, {"--max-restarts", "3"});
  expect_failure(input, 65, {"absent", "rank=0"});
  expect_no_paragraphs(input);
  EXPECT_EQ(count_of(input.err, "launch:"), 0U) << "final codes are not started again";
}

TEST_F(LaunchTest, CommandLineErrorsAre64) {
  expect_failure(cloze({"launch", "config.yaml"}), 64, {"-n"});
  expect_failure(cloze({"launch", "-n", "0", "config.yaml"}), 64, {"-n"});
  expect_failure(cloze({"launch", "-n", "2"}), 64, {"CONFIG"});
  expect_failure(cloze({"launch", "-n", "2", "absent.yaml"}), 64, {"absent.yaml"});
  expect_failure(cloze({"launch", "-n", "2", "config.yaml", "--max-restarts", "-1"}), 64, {});
  expect_failure(cloze({"launch", "-n", "2", "config.yaml", "--nothing"}), 64, {"--nothing"});
  expect_failure(launch("a", {"parallel.pipeline=3"}), 64, {"pipeline 3"});
}

TEST_F(LaunchTest, HostfilesAreCheckedBeforeTheLaunch) {
  const std::string path = run_folder("hosts").string();
  const Words option = {"--hostfile", path};
  expect_failure(launch("a", {}, option), 64, {"no hostfile"});
  std::ofstream(path) << "localhost slots=many\n";
  expect_failure(launch("a", {}, option), 64, {"hosts:1:", "slots=many"});
  std::ofstream(path) << "localhost slots=1\n";
  expect_failure(launch("a", {}, option), 64, {"have 1 slots", "2 ranks", "--oversubscribe"});
  expect_done(launch("a", {"run.steps=1"}, option + Words{"--oversubscribe"}));
  std::ofstream(path) << "localhost slots=2\n";
  expect_done(launch("a", {"run.steps=2"}, option));
  // Two names of this machine are two hosts to the launcher: mpirun gets the options of several.
  std::ofstream(path) << "localhost\n127.0.0.1\n";
  const Outcome apart = launch("a", {"run.steps=3"}, option);
  expect_done(apart);
  EXPECT_NE(apart.out.find("layout | 2 ranks"), std::string::npos) << apart.out;
}

TEST_F(LaunchTest, EverySignalSavesAndEndsWith85) {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) {
    const std::string run = "on-" + std::to_string(signal);
    const Words seldom = {"checkpoint.interval=1000000"};
    const std::unique_ptr<Process> process =
        start_launch(run, seldom + Words{kLong}, {"--max-restarts", "2"});
    ASSERT_TRUE(reaches(run, 2));
    process->send(signal);
    const Outcome outcome = process->wait(seconds(60));
    EXPECT_EQ(outcome.code, 85) << outcome.out << outcome.err;
    EXPECT_EQ(count_of(outcome.out, "saved; the same command goes on from here"), 1U);
    EXPECT_EQ(count_of(outcome.out + outcome.err, "FATAL"), 0U) << outcome.err;
    expect_no_paragraphs(outcome);
    EXPECT_EQ(events(run).back().at("event"), "preempted");
    const auto step = metrics(run).back().at("step").get<std::int64_t>();
    const Outcome resumed = launch(run, seldom + Words{"run.steps=" + std::to_string(step + 1)});
    expect_done(resumed);
    EXPECT_NE(resumed.out.find("resume | after step " + std::to_string(step)), std::string::npos);
  }
}

TEST_F(LaunchTest, AKilledRankIsRestartedAndNothingIsDifferent) {
  const Words settings = {"run.steps=300", "checkpoint.interval=10", "parallel.tensor=2"};
  const std::unique_ptr<Process> process = start_launch("a", settings, {"--max-restarts", "2"});
  ASSERT_TRUE(reaches("a", 15));
  const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGKILL);
  const Outcome outcome = process->wait();
  expect_done(outcome);
  expect_no_paragraphs(outcome);
  EXPECT_NE(outcome.err.find("launch: restart 1 of 2 in 1 s, from the checkpoint of step "),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("was ended by signal 9 (Killed)"), std::string::npos) << outcome.err;
  EXPECT_TRUE(all_end(ranks));

  const std::vector<nlohmann::json> journal = events("a");
  const auto restart = std::find_if(journal.begin(), journal.end(), [](const auto& event) {
    return event.at("event") == "restart";
  });
  ASSERT_NE(restart, journal.end());
  EXPECT_EQ(restart->at("code"), 137);
  EXPECT_EQ(restart->at("restart"), 1);
  EXPECT_EQ(restart->at("max_restarts"), 2);
  EXPECT_EQ((restart + 1)->at("event"), "resume");
  EXPECT_EQ((restart + 1)->at("step"), restart->at("checkpoint_step"));

  expect_done(train(2, "b", settings));
  EXPECT_EQ(contents("a", 300), contents("b", 300));
  EXPECT_EQ(losses("a"), losses("b"));
}

TEST_F(LaunchTest, ADamagedCheckpointIsNotTheOneThatARestartNames) {
  const std::unique_ptr<Process> process =
      start_launch("a", {kLong, "checkpoint.interval=40"}, {"--max-restarts", "1"});
  ASSERT_TRUE(reaches("a", 85));
  const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
  ASSERT_EQ(ranks.size(), 2U);
  for (const pid_t rank : ranks) ::kill(rank, SIGSTOP);
  const std::filesystem::path checkpoints = run_folder("a") / "checkpoints";
  const std::vector<std::int64_t> steps = committed_steps(checkpoints);
  ASSERT_GE(steps.size(), 2U);
  const std::filesystem::path newest = checkpoints / step_folder_name(steps[0]);
  std::filesystem::resize_file(newest / rank_file_name(1), 100);
  ::kill(ranks[1], SIGKILL);
  ::kill(ranks[0], SIGCONT);

  const std::string good = std::to_string(steps[1]);
  EXPECT_TRUE(wait_until([&] { return event_names("a").back() == "resume"; }, seconds(30)));
  ::kill(process->id(), SIGTERM);
  const Outcome outcome = process->wait(seconds(30));
  EXPECT_EQ(outcome.code, 85) << outcome.err;
  EXPECT_NE(outcome.err.find("restart 1 of 1 in 1 s, from the checkpoint of step " + good + "\n"),
            std::string::npos)
      << outcome.err;
  for (const nlohmann::json& event : events("a")) {
    if (event.at("event") == "restart") {
      EXPECT_EQ(event.at("checkpoint_step"), steps[1]);
    } else if (event.at("event") == "resume") {
      EXPECT_EQ(event.at("step"), steps[1]);
    }
  }
}

TEST_F(LaunchTest, AKilledRankWithoutRestartsIsTheOneLine) {
  const std::unique_ptr<Process> process = start_launch("a", {kLong});
  ASSERT_TRUE(reaches("a", 2));
  const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[0], SIGKILL);
  const Outcome outcome = process->wait(seconds(20));
  EXPECT_EQ(outcome.code, 137) << outcome.err;
  EXPECT_EQ(count_of(outcome.err, "FATAL rank="), 1U) << outcome.err;
  EXPECT_NE(outcome.err.find("ended by signal 9 (Killed)"), std::string::npos) << outcome.err;
  expect_no_paragraphs(outcome);
  EXPECT_TRUE(all_end(ranks));
}

TEST_F(LaunchTest, AKilledMpirunIsTransientAndItsRanksEnd) {
  const std::unique_ptr<Process> process = start_launch("a", {kLong, "checkpoint.interval=1"});
  ASSERT_TRUE(reaches("a", 2));
  const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
  const std::vector<pid_t> launchers = descendants_of(process->id(), "mpirun");
  ASSERT_EQ(launchers.size(), 1U);
  ::kill(launchers[0], SIGKILL);
  expect_failure(process->wait(seconds(30)), 75, {"mpirun was ended by signal 9"});
  EXPECT_TRUE(all_end(ranks));
}

TEST_F(LaunchTest, RanksEndWithLaunchItself) {
  const std::unique_ptr<Process> process = start_launch("a", {kLong});
  ASSERT_TRUE(reaches("a", 2));
  std::vector<pid_t> all = descendants_of(process->id(), "cloze");
  ASSERT_EQ(all.size(), 2U);
  for (const pid_t mpirun : descendants_of(process->id(), "mpirun")) all.push_back(mpirun);
  process->send(SIGKILL);
  EXPECT_TRUE(all_end(all));
}

TEST_F(LaunchTest, AnotherMpisMpirunIsRefused) {
  const std::string path = ":/usr/bin:/bin";
  const auto hydra = stand_in("mpirun", "echo 'HYDRA build details:'; echo ' Version: 4.0.2'\n");
  expect_failure(launch_with_path(hydra.string() + path), 64,
                 {"the mpirun in PATH is of MPICH 4.0.2", "Open MPI"});
  const auto newer = stand_in("mpirun", "echo 'mpirun (Open MPI) 5.0.11'\n");
  expect_failure(launch_with_path(newer.string() + path), 64, {"Open MPI 5.0.11"});
  const auto strange = stand_in("mpirun", "exit 3\n");
  expect_failure(launch_with_path(strange.string() + path), 64, {"an unknown MPI"});
  expect_failure(launch_with_path("/nowhere"), 64, {"there is no mpirun in PATH", "install"});
}

TEST_F(LaunchTest, ACrashLoopEndsEarlyAndIsJournaled) {
  const auto broken =
      stand_in("mpirun",
               "if [ \"$1\" = --version ]; then exec /usr/bin/mpirun --version; fi\n"
               "echo 'FATAL rank=0 host=h step=7 phase=step code=75 what=\"peer 12 is gone\" "
               "fix=\"f\"' >&2\n"
               "exit 75\n");
  const Outcome outcome =
      launch_with_path(broken.string() + ":/usr/bin:/bin", {"--max-restarts", "9"});
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_NE(outcome.err.find("the same first cause at the same step 3 times in a row: step 7"),
            std::string::npos)
      << outcome.err;
  EXPECT_EQ(event_names("a"), (Words{"restart", "restart", "crash_loop"}));
  EXPECT_EQ(events("a").back().at("what"), "peer 12 is gone");
}

TEST_F(LaunchTest, LaunchIsNotLaunched) {
  expect_failure(run_process(mpirun_words(1) + launch_command("a", {}), workspace()), 64,
                 {"start cloze launch once"});
}

TEST_F(LaunchTest, ATerminalShowsOneBarAndEachLineOnce) {
  std::string line;
  for (const std::string& word : launch_command("a", {"run.steps=60", "log.interval=20"})) {
    line += "'" + word + "' ";
  }
  const Outcome outcome =
      run_process({"/usr/bin/script", "-q", "-e", "-c", line, "/dev/null"}, workspace());
  expect_done(outcome);
  EXPECT_GE(count_of(outcome.out, "\r\033[K["), 1U) << "the bar of rank 0: " << outcome.out;
  // Bars of two ranks would show a step twice.
  const std::regex bar_text(R"(\] (\d+)/60 loss)");
  int shown = 0;
  for (std::sregex_iterator bar(outcome.out.begin(), outcome.out.end(), bar_text), end; bar != end;
       ++bar) {
    const int step = std::stoi((*bar)[1]);
    EXPECT_GT(step, shown) << outcome.out;
    shown = step;
  }
  EXPECT_GT(shown, 0) << outcome.out;
  EXPECT_EQ(count_of(outcome.out, "| loss"), 4U) << outcome.out;  // Steps 1, 20, 40, 60.
  EXPECT_EQ(count_of(outcome.out, "]\n"), 0U);
  // A bar is wiped before the next line: no line holds both.
  for (std::size_t at = outcome.out.find("| loss"); at != std::string::npos;
       at = outcome.out.find("| loss", at + 1)) {
    const std::size_t begin = outcome.out.rfind('\n', at) + 1;
    const std::size_t wiped = outcome.out.rfind("\r\033[K", at);
    const std::size_t bar = outcome.out.rfind('#', at);
    if (bar != std::string::npos && bar > begin) {
      EXPECT_GT(wiped, bar) << outcome.out;
    }
  }
}

}  // namespace
}  // namespace cloze
