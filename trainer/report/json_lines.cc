#include "trainer/report/json_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr std::int64_t kBlock = 1 << 20;  // Bytes read at once.

class LineParser {
 public:
  explicit LineParser(const ObjectVisitor& visit) : visit_(visit) {}

  void line(std::string_view text) {
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) return;
    simdjson::dom::object object;
    // The parser copies the line, since it reads some bytes behind it.
    const bool good =
        parser_.parse(text.data(), text.size()).get(object) == simdjson::SUCCESS && visit_(object);
    ++(good ? counts_.read : counts_.invalid);
  }

  LineCounts& counts() { return counts_; }

 private:
  const ObjectVisitor& visit_;
  simdjson::dom::parser parser_;
  LineCounts counts_;
};

}  // namespace

LineCounts read_json_lines(const std::filesystem::path& path, const ObjectVisitor& visit) {
  const File file = File::open_for_reading(path);
  const std::int64_t size = file.size();
  LineParser parser(visit);
  std::string block;
  std::string begun;      // A line of which earlier blocks held the front.
  bool too_long = false;  // That line is longer than may be; its rest is passed over.
  const auto add = [&](std::string_view part) {
    too_long = too_long || std::ssize(begun) + std::ssize(part) > kMaxJsonLine;
    if (too_long) {
      begun.clear();
    } else {
      begun += part;
    }
  };
  for (std::int64_t at = 0; at < size; at += std::ssize(block)) {
    block.resize(static_cast<std::size_t>(std::min(kBlock, size - at)));
    file.read_at(at, std::as_writable_bytes(std::span<char>(block)));
    std::string_view rest = block;
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      if (begun.empty() && !too_long) {
        parser.line(rest.substr(0, end));  // The usual line, where it lies.
      } else {
        add(rest.substr(0, end));
        if (too_long) {
          ++parser.counts().too_long;
        } else {
          parser.line(begun);
        }
      }
      begun.clear();
      too_long = false;
      rest.remove_prefix(end + 1);
    }
    if (!rest.empty()) add(rest);
  }
  parser.counts().torn = too_long || !begun.empty();
  return parser.counts();
}

}  // namespace cloze
