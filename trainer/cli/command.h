// How a subcommand joins the command line: it adds its options to the parser and, when it is the
// chosen one, leaves the action that main() runs.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace cloze {

// Runs the chosen command; returns the exit code of the process. Throws Error on failure.
using Action = std::function<int()>;

// Each lives in its own <name>_command.cc.
void add_train_command(CLI::App& app, Action& action);
void add_launch_command(CLI::App& app, Action& action);
void add_tokenizer_command(CLI::App& app, Action& action);
void add_prepare_command(CLI::App& app, Action& action);
void add_inspect_command(CLI::App& app, Action& action);
void add_config_command(CLI::App& app, Action& action);
void add_export_command(CLI::App& app, Action& action);
void add_import_command(CLI::App& app, Action& action);
void add_score_command(CLI::App& app, Action& action);
void add_generate_command(CLI::App& app, Action& action);
void add_report_command(CLI::App& app, Action& action);
void add_doctor_command(CLI::App& app, Action& action);

}  // namespace cloze
