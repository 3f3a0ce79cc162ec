#include "trainer/report/event_strip.h"

#include <algorithm>
#include <array>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/report/frame.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

constexpr double kLaneHeight = 22;

// The kinds that `cloze train` and `cloze launch` write, in the order of their lanes; report.css
// colours them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 15> kKinds = {{
    {"start", "Start"},
    {"resume", "Resume"},
    {"restart", "Restart"},
    {"save", "Save"},
    {"save_failed", "Failed save"},
    {"skip", "Skipped step"},
    {"config_change", "Config change"},
    {"numerics_change", "Numerics change"},
    {"trace", "Trace"},
    {"trace_failed", "Failed trace"},
    {"retain", "Old checkpoint removed"},
    {"preempted", "Preempted"},
    {"crash_loop", "Crash loop"},
    {"restarts_spent", "Restarts spent"},
    {"done", "Done"},
}};

// A kind as part of a class name: one of ours, or "other".
std::string class_of(std::string_view kind) {
  const bool known = std::ranges::any_of(kKinds, [&](auto& pair) { return pair.first == kind; });
  return known ? std::string(kind) : "other";
}

}  // namespace

std::string title_of_kind(std::string_view kind) {
  for (const auto& [name, title] : kKinds) {
    if (name == kind) return std::string(title);
  }
  return std::string(kind);
}

std::string details_of(const RunEvent& event) {
  const auto text = [&](std::string_view name) {
    const std::string* found = event.field(name);
    return found == nullptr ? std::string() : *found;
  };
  if (event.kind == "config_change") {
    return str(text("key"), ": ", text("before"), " to ", text("after"));
  }
  std::string details;
  for (const auto& [name, value] : event.fields) {
    details += str(details.empty() ? "" : ", ", name, " ", value);
  }
  return details;
}

std::vector<Mark> marks_of(const RunEvents& events) {
  std::vector<Mark> marks;
  for (const RunEvent& event : events.events) {
    const bool drawn = event.kind == "resume" || event.kind == "config_change" ||
                       event.kind == "save_failed" || event.kind == "preempted";
    if (!drawn || !event.step) continue;
    const std::string details = event.kind == "config_change" ? ": " + details_of(event) : "";
    marks.push_back({event.kind, static_cast<double>(*event.step),
                     str(title_of_kind(event.kind), " at step ", *event.step, details)});
  }
  return marks;
}

std::vector<Lane> lanes_of(const RunEvents& events) {
  std::vector<Lane> lanes;
  std::int64_t others = events.total();
  for (const auto& [kind, title] : kKinds) {
    lanes.push_back({std::string(kind), std::string(title), {}, events.count(kind)});
    others -= events.count(kind);
  }
  lanes.push_back({"other", "Other", {}, others});
  for (const RunEvent& event : events.events) {
    const auto lane = std::ranges::find(lanes, class_of(event.kind), &Lane::kind);
    if (event.step) lane->steps.push_back(static_cast<double>(*event.step));
  }
  std::erase_if(lanes, [](const Lane& lane) { return lane.steps.empty(); });
  for (Lane& lane : lanes) std::ranges::sort(lane.steps);
  return lanes;
}

std::string strip_figure(const std::vector<Lane>& lanes, const StepRange& range) {
  const std::string begin =
      "<figure class=\"card chart wide\" id=\"chart-events\"><figcaption><h3>Events</h3>"
      "<span>by step</span></figcaption>";
  if (lanes.empty()) return begin + "<p class=\"nothing\">No events were recorded.</p></figure>";
  Frame frame{.width = 1280, .left = 168};
  frame.height = frame.top + frame.bottom + kLaneHeight * static_cast<double>(lanes.size());
  const ChartAxis steps = step_axis(frame, range);
  std::string description;
  for (const Lane& lane : lanes) description += str(lane.title, ": ", lane.count, ". ");
  std::string svg = svg_begin(frame, "events", "Events over the steps", description);
  svg += step_axis_svg(frame, steps);
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const Lane& lane = lanes[i];
    const double y = frame.top + kLaneHeight * (static_cast<double>(i) + 0.5);
    svg += str("<g class=\"lane ", lane.kind, "\"><path d=\"M", coordinate(frame.left), " ",
               coordinate(y), "H", coordinate(frame.x(1)), "\"/><text x=\"",
               coordinate(frame.left - 8), "\" y=\"", coordinate(y + 4), "\" class=\"end\">",
               escaped(lane.title), " (", grouped(lane.count), ")</text>");
    for (const double x : places_on(frame, steps, lane.steps)) {
      svg += str("<circle cx=\"", coordinate(x), "\" cy=\"", coordinate(y), "\" r=\"4\"/>");
    }
    svg += "</g>";
  }
  return begin + "<div class=\"plot\">" + svg + "</svg></div></figure>";
}

std::string strip_json(const std::vector<Lane>& lanes) {
  std::string json = str("{\"id\":\"events\",\"lane_height\":", kLaneHeight, ",\"lanes\":[");
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    json += str(i == 0 ? "" : ",", "{\"kind\":", json_text(lanes[i].kind),
                ",\"title\":", json_text(str(lanes[i].title, " (", grouped(lanes[i].count), ")")),
                ",\"x\":", json_array(lanes[i].steps, 15), "}");
  }
  return json + "]}";
}

}  // namespace cloze
