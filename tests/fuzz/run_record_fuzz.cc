// A run's folder as `cloze report` reads it: metrics.jsonl and, behind record separators (0x1E),
// events.jsonl and config.yaml. No line can be fatal: each file gives counts that fit its lines,
// and a page whose text is valid UTF-8, whose numbers are valid JSON, and which holds no tag and
// no script that a page of nothing would not hold.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "data/utf8.h"
#include "tests/fuzz/fuzzing.h"
#include "trainer/report/page.h"
#include "trainer/report/run_record.h"

namespace cloze::fuzz {
namespace {

constexpr std::array<const char*, 3> kFiles = {"metrics.jsonl", "events.jsonl", "config.yaml"};

// Lines that are not empty.
std::int64_t num_lines(std::string_view text) {
  std::int64_t lines = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;  // A torn line is counted apart.
    lines += text.substr(begin, end - begin).find_first_not_of(" \t\r") != std::string_view::npos;
    begin = end + 1;
  }
  return lines;
}

void check_counts(const LineCounts& counts, std::string_view text) {
  require(counts.read + counts.invalid + counts.too_long == num_lines(text),
          "every line is counted once");
  require(counts.torn == (!text.empty() && text.back() != '\n'), "a torn end is told");
}

std::int64_t occurrences(std::string_view text, std::string_view part) {
  std::int64_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

// What stands between the two texts.
std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const std::size_t at = text.find(begin);
  require(at != std::string_view::npos, begin);
  text.remove_prefix(at + begin.size());
  const std::size_t stop = text.find(end);
  require(stop != std::string_view::npos, end);
  return text.substr(0, stop);
}

void check_page(const RunRecord& record) {
  const std::string page = report_page(record, {});
  require(!find_invalid_utf8(page), "the page is valid UTF-8");
  require(occurrences(page, "<script") == 2 && occurrences(page, "</script") == 2,
          "no script comes from the files");
  require(occurrences(page, "<html") == 1 && page.ends_with("</html>\n"), "the page is whole");
  const std::string_view data = between(page, "id=\"report-data\">", "</script>");
  require(nlohmann::json::accept(data), "the page's data are JSON");
  require(report_page(record, {}) == page, "a record has one page");
}

void run(std::string_view input) {
  static const ScratchFolder scratch;
  std::vector<std::string> texts = parts_of(input);
  const std::size_t num_files = std::min(texts.size(), kFiles.size());
  texts.resize(kFiles.size());
  for (std::size_t i = 0; i < kFiles.size(); ++i) {
    if (i < num_files) {
      scratch.write(kFiles.at(i), texts[i]);
    } else {
      std::filesystem::remove(scratch / kFiles.at(i));
    }
  }
  RunRecord record = read_run(scratch.path());
  check_counts(record.metrics.lines, texts[0]);
  check_counts(record.events.lines, texts[1]);
  require(record.events.missing == (num_files < 2), "a missing journal is told");
  require(record.config.has_value() == record.config_problem.empty(),
          "a config is read, or the reason is told");
  require(record.events.total() == record.events.lines.read, "every event has a kind");
  set_state(record, texts[0].size() % 2 == 0, 2e9);
  check_page(record);
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
