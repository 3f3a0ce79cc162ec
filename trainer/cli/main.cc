// The entry of `cloze`: picks a command, runs it, turns errors into one line and an exit code.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <string_view>

#include "parallel/base/check.h"
#include "parallel/comm/mpi_session.h"
#include "trainer/cli/command.h"
#include "trainer/cli/prepare_process.h"
#include "trainer/cli/report_error.h"

namespace {

// Commands that may run on many ranks; the others run alone and need no MPI.
constexpr std::array<std::string_view, 6> kParallelCommands = {"train", "export",   "import",
                                                               "score", "generate", "doctor"};

// Every rank of a job is given the same command line; the first one tells what is wrong with it.
void report_usage(int argc, char** argv, const cloze::Error& usage) {
  int rank = 0;
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (std::ranges::find(kParallelCommands, command) != kParallelCommands.end()) {
    const cloze::MpiSession session(argc, argv);
    rank = session.world_rank();
  }
  if (rank == 0) cloze::report_error(usage, rank, "command-line");
}

int run(int argc, char** argv) {
  CLI::App app("Cloze pretrains GLM models on tensor, pipeline and data parallel ranks", "cloze");
  app.require_subcommand(1);
  cloze::Action action;
  cloze::add_train_command(app, action);
  cloze::add_launch_command(app, action);
  cloze::add_prepare_command(app, action);
  cloze::add_tokenizer_command(app, action);
  cloze::add_inspect_command(app, action);
  cloze::add_config_command(app, action);
  cloze::add_export_command(app, action);
  cloze::add_import_command(app, action);
  cloze::add_score_command(app, action);
  cloze::add_generate_command(app, action);
  cloze::add_report_command(app, action);
  cloze::add_doctor_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help.
    const cloze::Error usage(cloze::ExitCode::kUsage, error.what(), "see cloze COMMAND --help");
    report_usage(argc, argv, usage);
    return static_cast<int>(usage.code());
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  cloze::prepare_process();
  try {
    return run(argc, argv);
  } catch (const cloze::Error& error) {
    cloze::report_error(error, 0, "command");
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    const cloze::Error wrapped(cloze::ExitCode::kInternal, error.what(),
                               "report this with the command that made it");
    cloze::report_error(wrapped, 0, "command");
    return static_cast<int>(wrapped.code());
  }
}
