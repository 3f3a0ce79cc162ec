#include "trainer/report/config_listing.h"

#include <algorithm>

#include "parallel/base/check.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

constexpr std::size_t kMaxLines = 4000;
constexpr std::size_t kMaxLine = 2000;  // Bytes.

// The key that a line of YAML begins with; empty where there is none.
std::string_view key_of(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" -");
  if (begin == std::string_view::npos || line[begin] == '#') return {};
  const std::size_t colon = line.find(':', begin);
  if (colon == std::string_view::npos) return {};
  const std::string_view key = line.substr(begin, colon - begin);
  const bool plain = std::ranges::all_of(
      key, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  return plain ? key : std::string_view();
}

}  // namespace

std::string config_html(std::string_view yaml) {
  std::string html =
      "<p class=\"search\"><label>Search <input type=\"search\" id=\"config-search\" "
      "placeholder=\"lr, parallel.tensor, …\" autocomplete=\"off\"></label> "
      "<output id=\"config-found\" for=\"config-search\"></output></p><pre id=\"config-text\">";
  std::string section;
  std::size_t lines = 0;
  while (!yaml.empty() && lines < kMaxLines) {
    const std::size_t end = std::min(yaml.find('\n'), yaml.size());
    const std::string_view line = yaml.substr(0, end);
    yaml.remove_prefix(std::min(end + 1, yaml.size()));
    ++lines;
    const std::string_view key = key_of(line);
    const bool is_section = !line.empty() && line.front() != ' ' && !key.empty();
    if (is_section) section = key;
    const std::string path = is_section ? section : str(section, key.empty() ? "" : ".", key);
    html +=
        str("<span", is_section ? " class=\"section\"" : "", " data-path=\"", escaped(path),
            "\" data-section=\"", escaped(section), "\">", escaped(line, kMaxLine), "\n</span>");
  }
  html += "</pre>";
  if (!yaml.empty()) html += str("<p>Cut after ", grouped(std::int64_t{kMaxLines}), " lines.</p>");
  return html;
}

}  // namespace cloze
