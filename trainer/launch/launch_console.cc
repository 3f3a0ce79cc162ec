#include "trainer/launch/launch_console.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// The user's terminal may be gone; the job is worth more than what is said of it.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

LaunchConsole::LaunchConsole()
    : bar_(::isatty(STDOUT_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) {}

void LaunchConsole::pass(std::string_view lines) const {
  if (lines.empty()) return;
  clear_bar();
  write_all(lines);
}

void LaunchConsole::line(std::string_view text) const {
  clear_bar();
  write_all(str("launch: ", text, "\n"));
}

void LaunchConsole::clear_bar() const {
  if (bar_) write_all("\r\033[K");
}

}  // namespace cloze
