#include "trainer/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// CLI11's checks of a sign, but for what they say: the largest double as the end of the range.
CLI::Validator with_fault(const CLI::Validator& check, const std::string& fault) {
  return {[check, fault](std::string& text) {
            return check(text).empty() ? std::string() : str(text, " ", fault);
          },
          check.get_description()};
}

// The word that stands where `app`, or the command of it that was found, wants one of its commands.
std::optional<std::string> unknown_command(const CLI::App& app) {
  const std::vector<CLI::App*> found = app.get_subcommands();
  if (!found.empty()) return unknown_command(*found.front());
  if (app.get_require_subcommand_min() == 0) return std::nullopt;
  const std::vector<std::string> words = app.remaining();
  const auto word =
      std::ranges::find_if(words, [](const std::string& text) { return !text.starts_with('-'); });
  return word == words.end() ? std::nullopt : std::optional(*word);
}

}  // namespace

Option Option::required() const { return Option(option_->required()); }
Option Option::one_of(const std::vector<std::string>& words) const {
  return Option(option_->check(CLI::IsMember(words)));
}
Option Option::range(std::int64_t low, std::int64_t high) const {
  return Option(option_->check(CLI::Range(low, high)));
}
Option Option::up_to(double high) const { return Option(option_->check(CLI::Range(0.0, high))); }
Option Option::positive() const {
  return Option(option_->check(with_fault(CLI::PositiveNumber, "is not above 0")));
}
Option Option::non_negative() const {
  return Option(option_->check(with_fault(CLI::NonNegativeNumber, "is not 0 or more")));
}
Option Option::size_in_bytes() const {
  return Option(option_->transform(CLI::AsSizeValue(/*kb_is_1000=*/true)));
}
Option Option::one_value_each() const { return Option(option_->allow_extra_args(false)); }
Option Option::default_shown() const { return Option(option_->capture_default_str()); }
Option Option::excludes(Option other) const { return Option(option_->excludes(other.option_)); }
Option Option::needs(Option other) const { return Option(option_->needs(other.option_)); }

template <class Value>
Option Command::option(const std::string& name, Value& value, const std::string& meaning) const {
  return Option(app_->add_option(name, value, meaning));
}

using Path = std::filesystem::path;
template Option Command::option(const std::string&, std::string&, const std::string&) const;
template Option Command::option(const std::string&, Path&, const std::string&) const;
template Option Command::option(const std::string&, int&, const std::string&) const;
template Option Command::option(const std::string&, std::int64_t&, const std::string&) const;
template Option Command::option(const std::string&, std::uint64_t&, const std::string&) const;
template Option Command::option(const std::string&, double&, const std::string&) const;
template Option Command::option(const std::string&, std::optional<std::string>&,
                                const std::string&) const;
template Option Command::option(const std::string&, std::optional<int>&, const std::string&) const;
template Option Command::option(const std::string&, std::vector<std::string>&,
                                const std::string&) const;
template Option Command::option(const std::string&, std::vector<Path>&, const std::string&) const;

Option Command::flag(const std::string& name, bool& value, const std::string& meaning) const {
  return Option(app_->add_flag(name, value, meaning));
}

Command Command::alternatives(const std::string& title, const std::string& meaning) const {
  CLI::Option_group* const group = app_->add_option_group(title, meaning);
  group->require_option(1);
  return {group, chosen_};
}

Command Command::subcommand(const std::string& name, const std::string& meaning) const {
  return {app_->add_subcommand(name, meaning), chosen_};
}

void Command::require_subcommand() const { app_->require_subcommand(1); }

void Command::runs(Action action) const {
  app_->callback([chosen = chosen_, action = std::move(action)] { *chosen = action; });
}

CommandLine::CommandLine(const std::string& program, const std::string& meaning)
    : app_(std::make_unique<CLI::App>(meaning, program)) {}

CommandLine::~CommandLine() = default;

Action CommandLine::parse(std::vector<std::string> words) {
  std::ranges::reverse(words);  // As CLI11 wants them.
  chosen_ = nullptr;
  try {
    app_->parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app_->exit(error);  // Prints the help.
      return nullptr;
    }
    // CLI11 would only say that a command is required.
    const std::optional<std::string> unknown = unknown_command(*app_);
    fail(ExitCode::kUsage, unknown ? str("\"", *unknown, "\" is no command") : error.what(),
         "see cloze COMMAND --help");
  }
  return chosen_;
}

}  // namespace cloze
