#include "trainer/report/run_events.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <deque>
#include <iterator>
#include <system_error>

namespace cloze {
namespace {

constexpr std::size_t kMaxFields = 24;
constexpr std::size_t kMaxText = 600;  // Bytes of a field; the page shows fewer.

std::optional<double> seconds_of(const std::string& time) {
  std::tm calendar{};
  double second = 0;
  char zone = 0;
  // Fields have widths, and their ranges are checked below.
  const int found =
      // NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion)
      std::sscanf(time.c_str(), "%4d-%2d-%2dT%2d:%2d:%6lf%c", &calendar.tm_year, &calendar.tm_mon,
                  &calendar.tm_mday, &calendar.tm_hour, &calendar.tm_min, &second, &zone);
  const bool plausible = found == 7 && zone == 'Z' && calendar.tm_year >= 1970 &&
                         calendar.tm_mon >= 1 && calendar.tm_mon <= 12 && calendar.tm_mday >= 1 &&
                         calendar.tm_mday <= 31 && calendar.tm_hour >= 0 &&
                         calendar.tm_hour <= 23 && calendar.tm_min >= 0 && calendar.tm_min <= 59 &&
                         second >= 0 && second < 61;
  if (!plausible) return std::nullopt;
  calendar.tm_year -= 1900;
  calendar.tm_mon -= 1;
  return static_cast<double>(::timegm(&calendar)) + second;
}

std::string text_of(const simdjson::dom::element& element) {
  std::string_view text;
  if (element.get(text) == simdjson::SUCCESS) return std::string(text.substr(0, kMaxText));
  return simdjson::minify(element).substr(0, kMaxText);
}

RunEvent event_of(const simdjson::dom::object& object) {
  RunEvent event;
  for (const auto field : object) {
    std::int64_t step = 0;
    if (field.key == "time") {
      event.time = text_of(field.value);
    } else if (field.key == "event") {
      event.kind = text_of(field.value);
    } else if (field.key == "step" && field.value.get(step) == simdjson::SUCCESS && is_step(step)) {
      event.step = step;
    } else if (event.fields.size() < kMaxFields) {
      event.fields.emplace_back(field.key, text_of(field.value));
    }
  }
  event.second = seconds_of(event.time);
  return event;
}

// Events with their place in the file, by kind.
class EventReader {
 public:
  bool line(const simdjson::dom::object& object) {
    std::string_view kind;
    if (object["event"].get(kind) != simdjson::SUCCESS) return false;
    RunEvent event = event_of(object);
    if (place_ == 0) first_second_ = event.second;
    const bool known = kept_.contains(event.kind) || kept_.size() < RunEvents::kMaxKinds;
    const std::string name = known ? event.kind : "other";
    std::deque<Placed>& same = kept_[name];
    same.push_back({place_++, std::move(event)});
    if (same.size() > RunEvents::kMaxOfKind) same.pop_front();
    ++counts_[name];
    return true;
  }

  RunEvents events() && {
    RunEvents result;
    std::vector<Placed> all;
    for (auto& [kind, same] : kept_) {
      std::ranges::move(same, std::back_inserter(all));
    }
    std::ranges::sort(all, {}, &Placed::place);
    for (Placed& placed : all) result.events.push_back(std::move(placed.event));
    result.counts = std::move(counts_);
    result.first_second = first_second_;
    return result;
  }

 private:
  struct Placed {
    std::int64_t place;
    RunEvent event;
  };

  std::map<std::string, std::deque<Placed>> kept_;
  std::map<std::string, std::int64_t, std::less<>> counts_;
  std::optional<double> first_second_;
  std::int64_t place_ = 0;
};

}  // namespace

const std::string* RunEvent::field(std::string_view name) const {
  const auto found =
      std::ranges::find_if(fields, [&](const auto& field) { return field.first == name; });
  return found == fields.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> RunEvent::number(std::string_view name) const {
  const std::string* text = field(name);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

std::int64_t RunEvents::count(std::string_view kind) const {
  const auto found = counts.find(kind);
  return found == counts.end() ? 0 : found->second;
}

std::int64_t RunEvents::total() const {
  std::int64_t total = 0;
  for (const auto& [kind, count] : counts) total += count;
  return total;
}

const RunEvent* RunEvents::newest_start() const {
  const auto found = std::find_if(events.rbegin(), events.rend(), [](const RunEvent& event) {
    return event.kind == "start" || event.kind == "resume";
  });
  return found == events.rend() ? nullptr : &*found;
}

RunEvents read_events(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    RunEvents none;
    none.missing = true;
    return none;
  }
  EventReader reader;
  const LineCounts lines = read_json_lines(
      path, [&](const simdjson::dom::object& object) { return reader.line(object); });
  RunEvents events = std::move(reader).events();
  events.lines = lines;
  return events;
}

}  // namespace cloze
