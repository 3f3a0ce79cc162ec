#include "trainer/loop/metrics_file.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

// Longer lines are no lines of ours.
constexpr std::int64_t kMaxLine = 1 << 20;

// The step of a line; nothing when it is no object with one.
std::optional<std::int64_t> step_of(std::string_view line) {
  // A first look without a parser: what a crash leaves is often a block of zero bytes.
  if (line.empty() || line.front() != '{') return std::nullopt;
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto step = json.find("step");
  if (step == json.end() || !step->is_number_integer()) return std::nullopt;
  return step->get<std::int64_t>();
}

// Cuts lines from the end until one of a step that is done; returns how many.
std::int64_t cut_later_lines(const std::filesystem::path& path, std::int64_t resume_step) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return 0;
  const File file = File::open_for_reading(path);
  const std::int64_t size = file.size();
  std::int64_t end = size;
  std::int64_t lines = 0;
  while (end > 0) {
    const std::string line = line_before(file, end - 1, kMaxLine);  // Before its newline.
    CLOZE_REQUIRE(
        std::ssize(line) < kMaxLine, ExitCode::kBadInput,
        str(path.string(), " has a line of more than ", kMaxLine, " bytes before byte ", end),
        "it is no metrics file of this program: move it away");
    const std::optional<std::int64_t> step = step_of(line);
    if (step && *step <= resume_step) break;
    end -= std::ssize(line) + 1;
    ++lines;
  }
  if (end < size) cut_file(path, end);
  return lines;
}

std::int64_t prepare(const std::filesystem::path& path, std::int64_t resume_step) {
  cut_torn_line(path);
  return cut_later_lines(path, resume_step);
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path, std::int64_t resume_step)
    : lines_cut_(prepare(path, resume_step)), last_step_(resume_step), file_(path) {}

void MetricsFile::write(const nlohmann::ordered_json& metrics) {
  CLOZE_CHECK(
      metrics.is_object() && metrics.contains("step") && metrics["step"].is_number_integer(),
      "a line of metrics has no step", "write an object with an integer step");
  const auto step = metrics["step"].get<std::int64_t>();
  CLOZE_CHECK(step > last_step_, str("metrics of step ", step, " after those of ", last_step_),
              "write steps in order");
  // dump() writes the shortest digits that read back to the same double, and null for those that
  // are not finite.
  file_.append(metrics.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
               "\n");
  last_step_ = step;
}

std::int64_t last_logged_step(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return -1;
  const File file = File::open_for_reading(path);
  // Behind the last newline stands nothing, or a line that is not whole.
  std::int64_t end = file.size();
  end -= std::ssize(line_before(file, end, end));
  while (end > 0) {
    const std::string line = line_before(file, end - 1, kMaxLine);
    if (const std::optional<std::int64_t> step = step_of(line)) return *step;
    if (std::ssize(line) >= kMaxLine) return -1;
    end -= std::ssize(line) + 1;
  }
  return -1;
}

}  // namespace cloze
