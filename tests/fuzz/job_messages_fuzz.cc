// What a job and mpirun write to stderr. The first byte says how many bytes come at once. Whatever
// they are, nothing is invented: what is shown is the input without some of its lines, in its
// order but for FATAL lines, which do not wait. Only mpirun's lines are left out, and what its
// lines of hyphens enclose. How the bytes are cut changes nothing.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/fuzz/fuzzing.h"
#include "trainer/launch/job_messages.h"

namespace cloze::fuzz {
namespace {

struct Shown {
  std::string text;
  JobMessages messages;
};

Shown shown(std::string_view input, std::size_t bytes_at_once) {
  Shown result;
  for (; !input.empty(); input.remove_prefix(std::min(bytes_at_once, input.size()))) {
    result.text += result.messages.take(input.substr(0, bytes_at_once));
  }
  result.text += result.messages.flush();
  return result;
}

// With their ends: the FATAL lines or the others. Those pass what is held back.
std::vector<std::string_view> lines_of(std::string_view text, bool fatal) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    const std::string_view without_end = line.substr(0, line.size() - line.ends_with('\n'));
    const bool has_end = without_end.size() < line.size();  // A line is read when it is whole.
    if ((has_end && read_fatal_line(without_end).has_value()) == fatal) lines.push_back(line);
    text.remove_prefix(end);
  }
  return lines;
}

void check_shown(std::string_view input, std::string_view text) {
  const bool has_rules = input.find(std::string(60, '-')) != std::string_view::npos;
  for (const bool fatal : {false, true}) {
    const std::vector<std::string_view> all = lines_of(input, fatal);
    const std::vector<std::string_view> some = lines_of(text, fatal);
    auto next = some.begin();
    for (const std::string_view line : all) {
      if (next != some.end() && *next == line) {
        ++next;
        continue;
      }
      const bool is_mpirun =
          line.starts_with('[') || line.starts_with("mpirun: ") || line.starts_with("prterun: ");
      require(has_rules || is_mpirun, "the job's own lines are shown");
    }
    require(next == some.end(), "what is shown are lines of the input, in their order");
  }
}

void check_values(const JobMessages& messages, std::string_view input) {
  if (const auto& fatal = messages.fatal()) {
    require(fatal->rank >= 0 && fatal->step >= -1 && fatal->code >= 0 && fatal->code <= 999,
            "a FATAL line's numbers are in their ranges");
    require(input.find(fatal->what) != std::string_view::npos, "its cause stands in the input");
  }
  if (const auto& dead = messages.dead_rank()) {
    require(dead->rank >= 0 && dead->signal >= 0 && dead->signal <= 999 && !dead->host.empty(),
            "a dead rank's numbers are in their ranges");
  }
  if (const auto& code = messages.failed_code()) {
    require(*code >= 0 && *code <= 999, "an exit code is in its range");
  }
  require(messages.trouble().find('\n') == std::string::npos, "a trouble is one line");
}

void run(std::string_view input) {
  if (input.empty()) return;
  const std::size_t bytes_at_once = 1 + static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  const Shown cut = shown(input, bytes_at_once);
  check_shown(input, cut.text);
  check_values(cut.messages, input);
  const Shown whole = shown(input, input.size() + 1);
  require(whole.text == cut.text && whole.messages.fatal() == cut.messages.fatal() &&
              whole.messages.dead_rank() == cut.messages.dead_rank() &&
              whole.messages.failed_code() == cut.messages.failed_code() &&
              whole.messages.trouble() == cut.messages.trouble(),
          "how the bytes are cut changes nothing");
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
