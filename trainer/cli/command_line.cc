#include "trainer/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// CLI11's own checks of a sign print the largest double as the other end of the range.
CLI::Validator number_from(double low, bool low_is_welcome) {
  const std::string fault =
      str(" is not ", low_is_welcome ? "" : "above ", low, low_is_welcome ? " or more" : "");
  return {[low, low_is_welcome, fault](std::string& text) {
            double value = 0.0;
            const char* const end = text.data() + text.size();
            const auto [stop, error] = std::from_chars(text.data(), end, value);
            const bool is_number = error == std::errc() && stop == end;
            const bool is_welcome = is_number && (value > low || (low_is_welcome && value == low));
            return is_welcome ? std::string() : text + fault;
          },
          low_is_welcome ? "NONNEGATIVE" : "POSITIVE"};
}

}  // namespace

Option Option::required() const { return Option(option_->required()); }
Option Option::one_of(const std::vector<std::string>& words) const {
  return Option(option_->check(CLI::IsMember(words)));
}
Option Option::range(std::int64_t low, std::int64_t high) const {
  return Option(option_->check(CLI::Range(low, high)));
}
Option Option::share_up_to(double high) const {
  return Option(option_->check(CLI::Range(0.0, high)));
}
Option Option::positive() const { return Option(option_->check(number_from(0.0, false))); }
Option Option::non_negative() const { return Option(option_->check(number_from(0.0, true))); }
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
  // CLI11 would only say that a command is required.
  if (!words.empty() && !words.front().starts_with('-')) {
    const std::vector<CLI::App*> commands = app_->get_subcommands({});
    const bool is_known =
        commands.empty() || std::ranges::find(commands, words.front(), [](auto* command) {
                              return command->get_name();
                            }) != commands.end();
    CLOZE_REQUIRE(is_known, ExitCode::kUsage, str("\"", words.front(), "\" is no command"),
                  "see cloze --help");
  }
  std::ranges::reverse(words);  // As CLI11 wants them.
  chosen_ = nullptr;
  try {
    app_->parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    CLOZE_REQUIRE(error.get_exit_code() == 0, ExitCode::kUsage, error.what(),
                  "see cloze COMMAND --help");
    app_->exit(error);  // Prints the help.
    return nullptr;
  }
  return chosen_;
}

}  // namespace cloze
