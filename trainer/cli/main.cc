// The entry of `cloze`: picks a command, runs it, turns errors into one line and an exit code.
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
constexpr std::array<std::string_view, 7> kParallelCommands = {
    "train", "export", "import", "score", "generate", "doctor", "bench"};

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
  cloze::CommandLine command_line(
      "cloze", "Cloze pretrains GLM models on tensor, pipeline and data parallel ranks");
  const cloze::Command root = command_line.root();
  root.require_subcommand();
  cloze::add_train_command(root);
  cloze::add_launch_command(root);
  cloze::add_prepare_command(root);
  cloze::add_tokenizer_command(root);
  cloze::add_inspect_command(root);
  cloze::add_config_command(root);
  cloze::add_export_command(root);
  cloze::add_import_command(root);
  cloze::add_score_command(root);
  cloze::add_generate_command(root);
  cloze::add_report_command(root);
  cloze::add_doctor_command(root);
  cloze::add_bench_command(root);
  cloze::Action action;
  try {
    action = command_line.parse({argv + std::min(argc, 1), argv + argc});
  } catch (const cloze::Error& usage) {
    report_usage(argc, argv, usage);
    return static_cast<int>(usage.code());
  }
  return action ? action() : static_cast<int>(cloze::ExitCode::kDone);  // --help.
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
