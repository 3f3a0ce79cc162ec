// Processes by posix_spawn; what is known of others comes from /proc.
#include "tests/support/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace cloze {
namespace {

std::filesystem::path new_file() {
  std::string name = (std::filesystem::temp_directory_path() / "cloze-process-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), name);
  ::close(descriptor);
  return name;
}

// "PID (name) S PARENT ...": the name may hold anything, so it is cut at the last parenthesis.
struct Stat {
  std::string name;
  char state = '?';
  pid_t parent = 0;
};

Stat stat_of(pid_t process) {
  const std::string text =
      text_of_file(std::filesystem::path("/proc") / std::to_string(process) / "stat");
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  Stat stat;
  if (open == std::string::npos || close == std::string::npos) return stat;
  stat.name = text.substr(open + 1, close - open - 1);
  std::istringstream(text.substr(close + 1)) >> stat.state >> stat.parent;
  return stat;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

Process::Process(const std::vector<std::string>& command, const std::filesystem::path& folder)
    : out_(new_file()), err_(new_file()) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addchdir_np(&files, folder.c_str());
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out_.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err_.c_str(), O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error =
      ::posix_spawn(&id_, command.front().c_str(), &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::system_error(error, std::generic_category(), command.front());
}

Process::~Process() {
  if (!ended_) {
    ::kill(-id_, SIGKILL);
    reap(0);
  }
  std::error_code ignored;
  std::filesystem::remove(out_, ignored);
  std::filesystem::remove(err_, ignored);
}

void Process::send(int signal) const { ::kill(id_, signal); }

void Process::reap(int flags) {
  if (!ended_ && ::wait4(id_, &status_, flags, &usage_) == id_) ended_ = true;
}

bool Process::running() {
  reap(WNOHANG);
  return !ended_;
}

Outcome Process::wait(std::chrono::seconds limit) {
  Outcome outcome;
  if (!wait_until([this] { return !running(); }, limit)) {
    outcome.timed_out = true;
    ::kill(-id_, SIGKILL);
    reap(0);
  }
  outcome.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  outcome.cpu_seconds = seconds_of(usage_.ru_utime) + seconds_of(usage_.ru_stime);
  outcome.peak_memory = std::int64_t{usage_.ru_maxrss} * 1024;
  outcome.out = text_of_file(out_);
  outcome.err = text_of_file(err_);
  return outcome;
}

Outcome run_process(const std::vector<std::string>& command, const std::filesystem::path& folder) {
  return Process(command, folder).wait();
}

std::vector<pid_t> descendants_of(pid_t ancestor, const std::string& name) {
  std::map<pid_t, Stat> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string text = entry.path().filename().string();
    if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    const auto process = static_cast<pid_t>(std::stol(text));
    all[process] = stat_of(process);
  }
  std::vector<pid_t> found;
  for (const auto& [process, stat] : all) {
    if (stat.name != name) continue;
    for (auto above = all.find(stat.parent); above != all.end();
         above = all.find(above->second.parent)) {
      if (above->first != ancestor) continue;
      found.push_back(process);
      break;
    }
  }
  return found;
}

bool is_alive(pid_t process) {
  const char state = stat_of(process).state;
  return state != '?' && state != 'Z' && state != 'X';
}

bool wait_until(const std::function<bool()>& condition, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace cloze
