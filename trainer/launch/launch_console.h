// What a launcher writes to stderr.
#pragma once

#include <string_view>

namespace cloze {

class LaunchConsole {
 public:
  LaunchConsole();

  // Lines of the job, as they are.
  void pass(std::string_view lines) const;
  // "launch: TEXT".
  void line(std::string_view text) const;
  // Before somebody else writes a line to stderr.
  void clear_bar() const;

 private:
  const bool bar_;  // A progress bar may stand where the next line begins.
};

}  // namespace cloze
