#include "trainer/report/run_record.h"

#include <string_view>
#include <system_error>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/config/load.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

constexpr std::int64_t kLargestConfig = 1 << 20;
constexpr std::int64_t kMostRanks = 1 << 24;

void read_config(RunRecord& record) {
  const std::filesystem::path path = record.directory / "config.yaml";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    record.config_problem = "config.yaml is missing";
    return;
  }
  try {
    record.config_yaml = read_file(path, kLargestConfig);
    record.config = load_config_text(record.config_yaml, "config.yaml", {}).run;
  } catch (const Error& problem) {
    record.config_problem = problem.problem();
  }
}

// The degrees that the run wrote down when it started, where they make sense together.
std::optional<Degrees> recorded_degrees(const RunEvents& events) {
  const RunEvent* start = events.newest_start();
  if (start == nullptr) return std::nullopt;
  const std::optional<std::int64_t> ranks = start->number("ranks");
  if (!ranks || *ranks < 1 || *ranks > kMostRanks) return std::nullopt;
  Degrees degrees;
  std::int64_t product = 1;
  const auto take = [&](const char* name, int& degree) {
    const std::int64_t value = start->number(name).value_or(0);
    if (value < 1 || product * value > *ranks) return false;
    product *= value;
    degree = static_cast<int>(value);
    return true;
  };
  const bool good = take("pipeline", degrees.pipeline) && take("data", degrees.data) &&
                    take("tensor", degrees.tensor) && product == *ranks;
  return good ? std::optional(degrees) : std::nullopt;
}

void find_degrees(RunRecord& record) {
  record.degrees = recorded_degrees(record.events);
  record.degrees_recorded = record.degrees.has_value();
  if (!record.degrees && record.config) {
    record.degrees = Degrees{.pipeline = record.config->parallel().pipeline(),
                             .tensor = record.config->parallel().tensor()};
  }
}

// How a run stands that no job writes to, by the kind of its last event.
RunState state_after(std::string_view kind) {
  if (kind == "done") return RunState::kDone;
  if (kind == "preempted") return RunState::kPreempted;
  if (kind == "crash_loop" || kind == "restarts_spent") return RunState::kGivenUp;
  return RunState::kInterrupted;
}

std::string count_of(std::int64_t count, const char* one, const char* many) {
  return str(grouped(count), " ", count == 1 ? one : many);
}

void add_line_notes(const std::string& file, const LineCounts& lines,
                    std::vector<std::string>& notes) {
  if (lines.invalid > 0) {
    notes.push_back(count_of(lines.invalid, "line", "lines") + " of " + file +
                    (lines.invalid == 1 ? " is" : " are") +
                    " not what the file should hold and skipped.");
  }
  if (lines.too_long > 0) {
    notes.push_back(count_of(lines.too_long, "line", "lines") + " of " + file +
                    (lines.too_long == 1 ? " is" : " are") + " longer than " +
                    grouped(kMaxJsonLine) + " bytes and skipped.");
  }
  if (lines.torn) {
    notes.push_back("The last line of " + file +
                    " is not whole and skipped: it is being written, or its writer was stopped.");
  }
}

}  // namespace

std::string RunRecord::name() const {
  if (config && !config->run().name().empty()) return config->run().name();
  // "." and "runs/.." have no name of their own.
  std::error_code error;
  const std::filesystem::path whole =
      std::filesystem::absolute(directory, error).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

RunRecord read_run(const std::filesystem::path& directory) {
  std::error_code error;
  CLOZE_REQUIRE(
      std::filesystem::is_directory(directory, error), ExitCode::kBadInput,
      str(directory.string(),
          std::filesystem::exists(directory, error) ? " is no folder" : " does not exist"),
      "name the folder of a run, the run.directory of its config");
  const std::filesystem::path metrics = directory / "metrics.jsonl";
  CLOZE_REQUIRE(std::filesystem::exists(metrics, error), ExitCode::kBadInput,
                str(directory.string(), " holds no metrics.jsonl"),
                "name the folder of a run (run.directory) that has logged a step");
  RunRecord record;
  record.directory = directory;
  record.metrics = read_metrics(metrics);
  record.events = read_events(directory / "events.jsonl");
  read_config(record);
  find_degrees(record);
  return record;
}

void set_state(RunRecord& record, bool is_locked, double now) {
  const std::vector<RunEvent>& events = record.events.events;
  record.state = is_locked        ? RunState::kRunning
                 : events.empty() ? RunState::kInterrupted
                                  : state_after(events.back().kind);
  const std::optional<double> first = record.events.first_second;
  if (events.empty() || !first) return;
  const std::optional<double> end = is_locked ? std::optional(now) : events.back().second;
  if (end && *end >= *first) record.seconds = *end - *first;
}

std::filesystem::path checkpoints_of(const RunRecord& record) {
  // A copy of a run has its own; the path that the config names may be another run's by now.
  std::filesystem::path beside = record.directory / "checkpoints";
  std::error_code error;
  if (std::filesystem::exists(beside, error) || !record.config) return beside;
  return record.config->checkpoint().directory();
}

std::vector<std::string> notes_of(const RunRecord& record) {
  std::vector<std::string> notes;
  add_line_notes("metrics.jsonl", record.metrics.lines, notes);
  add_line_notes("events.jsonl", record.events.lines, notes);
  if (record.metrics.lines.read == 0) notes.emplace_back("No step has been logged yet.");
  if (record.events.missing) {
    notes.emplace_back("There is no events.jsonl: starts, saves and skipped steps are not known.");
  }
  if (record.metrics.num_steps_back > 0) {
    notes.push_back(str("The step goes back ", grouped(record.metrics.num_steps_back),
                        record.metrics.num_steps_back == 1 ? " time" : " times",
                        " in metrics.jsonl; what was written later replaces what was there."));
  }
  if (record.metrics.num_ignored > 0) {
    notes.push_back(str(grouped(record.metrics.num_ignored),
                        record.metrics.num_ignored == 1 ? " number" : " numbers",
                        " of metrics.jsonl under unknown names are not shown."));
  }
  if (!record.config_problem.empty()) {
    notes.push_back(
        record.config_yaml.empty()
            ? str("Model, layout and schedule are not known: ", record.config_problem, ".")
            : str("The config cannot be read by this version, so model, layout and schedule may "
                  "be missing: ",
                  record.config_problem));
  }
  if (record.degrees && !record.degrees_recorded) {
    notes.emplace_back(
        "The run did not record its number of ranks; the layout is drawn for one data rank.");
  }
  return notes;
}

}  // namespace cloze
