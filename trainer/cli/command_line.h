// The command line as the commands see it. CLI11 parses it, behind this header: a file that
// includes CLI11 takes ten seconds longer to compile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cloze {

// Runs the chosen command; returns the exit code of the process. Throws Error on failure.
using Action = std::function<int()>;

// One option, flag or positional argument of a command, to say more about. A handle.
class Option {
 public:
  Option required() const;
  Option one_of(const std::vector<std::string>& words) const;
  Option range(std::int64_t low, std::int64_t high) const;  // Both are welcome.
  Option up_to(double high) const;                          // From 0.
  Option positive() const;
  Option non_negative() const;
  Option size_in_bytes() const;  // A number with B, KB, MB, GB, ..., 1 KB = 1000 B.
  // For lists: takes one value and is repeated for more, so that it takes no positional argument
  // behind it.
  Option one_value_each() const;
  Option default_shown() const;  // Help shows the value that it has now.
  Option excludes(Option other) const;
  Option needs(Option other) const;

 private:
  friend class Command;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// A command, to give options and subcommands to. A handle of what CommandLine owns.
class Command {
 public:
  // A name without hyphens is a positional argument. `value` holds the default and outlives the
  // parsing. For std::string, std::filesystem::path, int, std::int64_t, std::uint64_t, double,
  // std::optional of std::string or int, std::vector of std::string or std::filesystem::path.
  template <class Value>
  Option option(const std::string& name, Value& value, const std::string& meaning) const;
  Option flag(const std::string& name, bool& value, const std::string& meaning) const;

  // Options of which exactly one is given, under a title of their own.
  Command alternatives(const std::string& title, const std::string& meaning) const;

  Command subcommand(const std::string& name, const std::string& meaning) const;
  void require_subcommand() const;

  // What is done when this command is the chosen one.
  void runs(Action action) const;

 private:
  friend class CommandLine;
  Command(CLI::App* app, Action* chosen) : app_(app), chosen_(chosen) {}

  CLI::App* app_;
  Action* chosen_;
};

class CommandLine {
 public:
  CommandLine(const std::string& program, const std::string& meaning);
  ~CommandLine();

  Command root() { return {app_.get(), &chosen_}; }

  // The chosen command's action for the words behind the program's name; none after --help,
  // which is printed. Throws Error kUsage.
  Action parse(std::vector<std::string> words);

 private:
  std::unique_ptr<CLI::App> app_;
  Action chosen_;
};

}  // namespace cloze
