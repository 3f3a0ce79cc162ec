#include "trainer/launch/hostfile.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <regex>
#include <sstream>
#include <system_error>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr std::int64_t kMaxBytes = 1 << 20;
constexpr std::int64_t kMaxSlots = 1'000'000;  // More is a slip of the finger.
// Characters, without the comment. std::regex takes stack for each.
constexpr std::size_t kLongestLine = 4096;

struct LineError {
  std::string what;
  std::string fix;
};

// Throws LineError.
std::int64_t count_of(const std::string& key, const std::string& text) {
  std::int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{} || rest != end || count < 1 || count > kMaxSlots) {
    throw LineError{str(key, "=", text, " is no number of ranks"),
                    str("write a whole number from 1 to ", kMaxSlots)};
  }
  return count;
}

// Throws LineError.
void check_name(const std::string& name) {
  static const std::regex good(R"((?:[\w.-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*)");
  if (std::regex_match(name, good)) return;
  static const std::regex with_count(R"(([A-Za-z0-9.-]+):(\d+))");
  std::smatch match;
  if (std::regex_match(name, match, with_count)) {
    throw LineError{str(name, " is no host name"),
                    str("write ", match[1].str(), " slots=", match[2].str())};
  }
  throw LineError{str("'", name, "' is no host name"),
                  "begin the line with a name of letters, digits, dots and hyphens"};
}

// Nothing when the line is empty. Throws LineError.
std::optional<Host> parse_line(std::string line) {
  line.resize(std::min(line.size(), line.find('#')));
  if (line.size() > kLongestLine) {
    throw LineError{str("the line has ", line.size(), " characters, more than ", kLongestLine),
                    "write a line for each host: NAME slots=N"};
  }
  for (const char letter : line) {
    if (letter != '\t' && (letter < ' ' || letter > '~')) {
      throw LineError{"there is a character that is no printable ASCII",
                      "save it as plain text with Unix line ends"};
    }
  }
  line = std::regex_replace(line, std::regex(R"(\s*=\s*)"), "=");
  std::istringstream words(line);
  Host host;
  if (!(words >> host.name)) return std::nullopt;
  check_name(host.name);
  std::int64_t max_slots = 0;
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    std::int64_t* const count = key == "slots"                             ? &host.slots
                                : key == "max_slots" || key == "max-slots" ? &max_slots
                                                                           : nullptr;
    if (count == nullptr || equals == std::string::npos) {
      throw LineError{str("'", word, "' is not known here"),
                      "write slots=N, perhaps max_slots=N, behind the name"};
    }
    if (*count != 0) throw LineError{str(key, " stands twice"), "keep one of them"};
    *count = count_of(key, word.substr(equals + 1));
  }
  if (host.slots == 0) host.slots = 1;
  if (max_slots != 0 && max_slots < host.slots) {
    throw LineError{str("max_slots=", max_slots, " is less than slots=", host.slots),
                    "raise max_slots or leave it out"};
  }
  return host;
}

}  // namespace

std::vector<Host> parse_hostfile(std::string_view text, const std::string& file) {
  std::vector<Host> hosts;
  std::vector<std::string> problems;
  std::string fix;
  int number = 0;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    ++number;
    try {
      const std::optional<Host> host = parse_line(line);
      if (!host) continue;
      const auto known = std::ranges::find(hosts, host->name, &Host::name);
      if (known == hosts.end()) {
        hosts.push_back(*host);
      } else {
        known->slots += host->slots;
      }
    } catch (const LineError& error) {
      problems.push_back(str(file, ":", number, ": ", error.what));
      if (fix.empty()) fix = error.fix;
    }
  }
  if (!problems.empty()) {
    std::string all = problems.front();
    for (std::size_t i = 1; i < problems.size(); ++i) all += "\n" + problems[i];
    fail(ExitCode::kUsage, all, fix);
  }
  CLOZE_REQUIRE(!hosts.empty(), ExitCode::kUsage, str("the hostfile ", file, " names no host"),
                "write a line for each host: NAME slots=N");
  return hosts;
}

std::vector<Host> read_hostfile(const std::filesystem::path& path) {
  std::error_code error;
  CLOZE_REQUIRE(std::filesystem::is_regular_file(path, error), ExitCode::kUsage,
                str("there is no hostfile ", path.string()),
                "check the path; it has a line for each host: NAME slots=N");
  const auto size = std::filesystem::file_size(path, error);
  CLOZE_REQUIRE(!error && size <= static_cast<std::uintmax_t>(kMaxBytes), ExitCode::kUsage,
                str(path.string(), " has ", size, " bytes, more than ", kMaxBytes),
                "a hostfile has a line for each host; is this the right file?");
  return parse_hostfile(read_file(path, kMaxBytes), path.string());
}

void check_slots(const std::vector<Host>& hosts, int num_ranks, const std::string& file) {
  std::int64_t slots = 0;
  for (const Host& host : hosts) slots += host.slots;
  CLOZE_REQUIRE(
      slots >= num_ranks, ExitCode::kUsage,
      str("the hosts of ", file, " have ", slots, " slots, the job has ", num_ranks, " ranks"),
      "raise slots=N of the hosts, add hosts, or give --oversubscribe to let ranks share "
      "cores");
}

}  // namespace cloze
