#include "trainer/launch/orphans.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace cloze {
namespace {

// "PID (name) S PARENT ...": the name may hold anything, so what follows its last parenthesis
// counts. A process that has ended and waits to be reaped is not running.
bool is_running_child(const std::string& stat, pid_t parent) {
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return false;
  char state = '?';
  pid_t above = 0;
  std::istringstream(stat.substr(close + 1)) >> state >> above;
  return above == parent && state != 'Z' && state != 'X';
}

std::vector<pid_t> running_children() {
  std::vector<pid_t> children;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    pid_t process = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data(), end, process).ptr != end) continue;
    std::ifstream file(entry.path() / "stat");
    std::ostringstream stat;
    stat << file.rdbuf();
    if (is_running_child(stat.str(), ::getpid())) children.push_back(process);
  }
  return children;
}

}  // namespace

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

int end_orphans() {
  // A process that the kernel cannot end, such as one that waits for a lost disk, is left.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::set<pid_t> killed;
  while (std::chrono::steady_clock::now() < deadline) {
    const pid_t reaped = ::waitpid(-1, nullptr, WNOHANG);
    if (reaped > 0) continue;
    if (reaped < 0 && errno == ECHILD) break;
    for (const pid_t child : running_children()) {
      ::kill(child, SIGKILL);
      killed.insert(child);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return static_cast<int>(killed.size());
}

}  // namespace cloze
