// cloze report: a run as one HTML page.
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/directory_lock.h"
#include "trainer/cli/command.h"
#include "trainer/model/stage_cut.h"
#include "trainer/report/page.h"
#include "trainer/report/run_record.h"

namespace cloze {
namespace {

struct ReportArguments {
  std::filesystem::path run;
  std::filesystem::path output;  // RUN/report.html when empty.
};

// Whether a job writes to the run at this moment.
bool is_locked(const RunRecord& record) {
  const std::filesystem::path lock = checkpoints_of(record) / "lock";
  std::error_code error;
  if (!std::filesystem::is_regular_file(lock, error)) return false;
  try {
    return !FileLock::try_lock(lock, FileLock::Kind::kShared).has_value();
  } catch (const Error&) {
    return false;  // Not ours to read: the journal alone tells.
  }
}

std::vector<Range> stages_of(const RunRecord& record) {
  if (!record.config || !record.degrees) return {};
  if (record.config->parallel().pipeline() != record.degrees->pipeline) return {};
  return cut_stages(*record.config);
}

int run(const ReportArguments& arguments) {
  RunRecord record = read_run(arguments.run);
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  set_state(record, is_locked(record), now.count());
  const std::string page = report_page(record, stages_of(record));
  const std::filesystem::path output =
      arguments.output.empty() ? arguments.run / "report.html" : arguments.output;
  std::error_code error;  // Whatever else is wrong with the name, writing will tell.
  CLOZE_REQUIRE(!std::filesystem::is_directory(output, error), ExitCode::kCannotWrite,
                str("cannot write ", output.string(), ": it is a folder"),
                "name a file with --output");
  write_file_atomically(output, page);
  std::cout << "report | " << output.string() << ", " << record.metrics.lines.read
            << " logged steps, " << page.size() / 1000 << " kB\n";
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace

void add_report_command(Command root) {
  const auto arguments = std::make_shared<ReportArguments>();
  const Command command =
      root.subcommand("report", "Write a run's curves, events, layout and config as one page");
  command.option("RUN", arguments->run, "The run's folder (run.directory)").required();
  command.option("--output", arguments->output, "The page; RUN/report.html when absent");
  command.runs([arguments] { return run(*arguments); });
}

}  // namespace cloze
