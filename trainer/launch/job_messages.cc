#include "trainer/launch/job_messages.h"

#include <regex>
#include <sstream>
#include <utility>

namespace cloze {
namespace {

constexpr std::size_t kShortestRule = 60;      // Hyphens; Open MPI draws 74.
constexpr std::size_t kLongestParagraph = 60;  // Lines. Longer ones are no paragraph of mpirun's.
constexpr std::size_t kLongestTrouble = 300;   // Characters of it that are remembered.
// Characters of a line or a paragraph that may mean something. std::regex takes stack for each.
constexpr std::size_t kLongestMessage = 8192;

bool is_rule(const std::string& line) {
  return line.size() >= kShortestRule && line.find_first_not_of('-') == std::string::npos;
}

// Words with one space between them, without the lines of hyphens.
std::string words_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (is_rule(line)) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

// Single lines of mpirun's about paragraphs and signals.
bool is_remark(const std::string& line) {
  if (line.size() > kLongestMessage) return false;
  static const std::regex remark(
      R"(^\[[^\]]+\] \d+ more process(es)? ha(s|ve) sent help message )"
      R"(|^\[[^\]]+\] Set MCA parameter "orte_base_help_aggregate")"
      R"(|^(mpirun|prterun): (Forwarding signal \d+ to job|killing job))");
  return std::regex_search(line, remark);
}

}  // namespace

std::optional<FatalLine> read_fatal_line(std::string_view line) {
  if (line.size() > kLongestMessage) return std::nullopt;
  static const std::regex form(
      R"re(^FATAL rank=(\d{1,9}) host=\S+ step=(-|\d{1,18}) phase=\S+ code=(\d{1,3}) what="(.*)" fix=".*"\s*$)re");
  const std::string text(line);
  std::smatch match;
  if (!text.starts_with("FATAL ") || !std::regex_match(text, match, form)) return std::nullopt;
  return FatalLine{.rank = std::stoi(match[1]),
                   .step = match[2] == "-" ? -1 : std::stoll(match[2]),
                   .code = std::stoi(match[3]),
                   .what = match[4]};
}

std::string JobMessages::take(std::string_view bytes) {
  std::string shown;
  partial_ += bytes;
  std::size_t begin = 0;
  for (std::size_t end = partial_.find('\n'); end != std::string::npos;
       end = partial_.find('\n', begin)) {
    shown += take_line(partial_.substr(begin, end - begin));
    begin = end + 1;
  }
  partial_.erase(0, begin);
  return shown;
}

std::string JobMessages::flush() {
  return release_paragraph() + std::exchange(partial_, std::string());
}

std::string JobMessages::take_line(const std::string& line) {
  // A rank's line may stand between mpirun's, which it must not be lost with.
  if (const std::optional<FatalLine> fatal = read_fatal_line(line)) {
    if (!fatal_) fatal_ = fatal;
    return line + "\n";
  }
  if (is_remark(line)) return "";
  if (paragraph_.empty()) {
    if (!is_rule(line)) return line + "\n";
    paragraph_.push_back(line);
    return "";
  }
  paragraph_.push_back(line);
  if (is_rule(line)) return close_paragraph();
  return paragraph_.size() > kLongestParagraph ? release_paragraph() : "";
}

std::string JobMessages::close_paragraph() {
  const std::string text = words_of(paragraph_);
  if (is_repetition(text)) {
    paragraph_.clear();
    return "";
  }
  if (trouble_.empty()) {
    trouble_ = text.substr(0, kLongestTrouble) + (text.size() > kLongestTrouble ? " ..." : "");
  }
  return release_paragraph();
}

std::string JobMessages::release_paragraph() {
  std::string shown;
  for (const std::string& line : paragraph_) shown += line + "\n";
  paragraph_.clear();
  return shown;
}

bool JobMessages::is_repetition(const std::string& text) {
  if (text.size() > kLongestMessage) return false;
  static const std::regex dead(
      R"(process rank (\d{1,9}) with PID \d+ on node (\S+) exited on signal (\d{1,3}) \(([^)]*)\))");
  static const std::regex failed(
      R"(one or more processes exited with non-zero status.* Exit code: (\d{1,3}))");
  static const std::regex other(
      R"(^Primary job terminated normally, but|^MPI_ABORT was invoked on rank )"
      R"(|has exited due to process rank)");
  std::smatch match;
  if (std::regex_search(text, match, dead)) {
    if (!dead_rank_) {
      dead_rank_ = DeadRank{.rank = std::stoi(match[1]),
                            .host = match[2],
                            .signal = std::stoi(match[3]),
                            .signal_name = match[4]};
    }
    return true;
  }
  if (std::regex_search(text, match, failed)) {
    if (!failed_code_) failed_code_ = std::stoi(match[1]);
    return true;
  }
  return std::regex_search(text, other);
}

}  // namespace cloze
