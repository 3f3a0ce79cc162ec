#include "trainer/report/page.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/report/assets.h"
#include "trainer/report/config_listing.h"
#include "trainer/report/event_strip.h"
#include "trainer/report/layout_drawing.h"
#include "trainer/report/markup.h"
#include "trainer/report/pipeline_drawing.h"
#include "trainer/report/run_charts.h"
#include "trainer/report/summary.h"

namespace cloze {
namespace {

constexpr std::size_t kEventsShown = 1000;  // The newest of those that were kept.

constexpr std::array<std::pair<const char*, const char*>, 6> kSections = {{
    {"summary", "Summary"},
    {"curves", "Curves"},
    {"layout", "Layout"},
    {"pipeline", "Pipeline"},
    {"events", "Events"},
    {"config", "Config"},
}};

std::string head(const std::string& title) {
  // The policy is a second wall behind the escaping: the page can load nothing and send nothing.
  return str(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\">"
      "<meta name=\"generator\" content=\"cloze report\">"
      "<link rel=\"icon\" href=\"data:,\"><title>",
      escaped(title), "</title>\n<style>\n", report_style(), "</style></head>\n");
}

std::string header(const RunRecord& record) {
  const auto [state, state_class] = words_of(record.state);
  std::string html = str("<header><div><h1>", escaped(record.name(), 120), "</h1><p>",
                         escaped(model_text(record)), "</p></div><span class=\"state ", state_class,
                         "\">", state, "</span></header>\n<nav aria-label=\"Sections\">");
  for (const auto& [id, title] : kSections) {
    html += str("<a href=\"#", id, "\">", title, "</a>");
  }
  return html + "</nav>\n";
}

std::string section(std::size_t index, const std::string& content) {
  const auto& [id, title] = kSections.at(index);
  return str("<section id=\"", id, "\" aria-labelledby=\"", id, "-heading\"><h2 id=\"", id,
             "-heading\">", title, "</h2>\n", content, "</section>\n");
}

std::string summary(const RunRecord& record) {
  std::string html;
  const std::vector<std::string> notes = notes_of(record);
  if (!notes.empty()) {
    html += "<ul class=\"card notes\" role=\"note\">";
    for (const std::string& note : notes) html += "<li>" + escaped(note, 1500) + "</li>";
    html += "</ul>";
  }
  html += "<dl class=\"figures\">";
  for (const Figure& figure : figures_of(record)) {
    html +=
        str("<div class=\"card\"><dt>", escaped(figure.name), "</dt><dd>", escaped(figure.value),
            "</dd><dd class=\"detail\">", escaped(figure.detail), "</dd></div>");
  }
  return html + "</dl>";
}

// What the section of curves draws, and report.js draws again.
struct Drawn {
  StepRange range;
  std::vector<Mark> marks;
  std::vector<Chart> charts;
  std::vector<Lane> lanes;
};

std::string curves(const Drawn& drawn) {
  std::string html =
      "<p class=\"tools script\"><button type=\"button\" id=\"zoom-out\" disabled>Show all "
      "steps</button> <span>Drag across a chart to zoom into steps; click a key to hide its "
      "curve.</span></p>"
      "<div class=\"charts\">";
  for (const Chart& chart : drawn.charts) {
    html += chart_figure(chart, drawn.range, drawn.marks);
    if (chart.id == "loss") html += strip_figure(drawn.lanes, drawn.range);
  }
  return html + "</div>";
}

std::string layout(const RunRecord& record, const std::vector<Range>& stages) {
  if (!record.degrees) {
    return "<p class=\"card nothing\">The layout is not known: the run did not record it and its "
           "config cannot be read.</p>";
  }
  return "<div class=\"card\">" + layout_html(*record.degrees, stages) + "</div>";
}

// The run's pipeline, where the config and the degrees tell it.
std::optional<PipelinePlan> plan_of(const RunRecord& record) {
  if (!record.config || !record.degrees) return std::nullopt;
  const config::BatchSize& batch = record.config->batch();
  const std::int64_t rows = batch.micro_size() * record.degrees->data;
  const std::int64_t microbatches = rows > 0 ? batch.global_size() / rows : 0;
  if (microbatches < 1 || microbatches > 1 << 24) return std::nullopt;
  PipelinePlan plan{.num_stages = record.degrees->pipeline,
                    .num_microbatches = static_cast<int>(microbatches)};
  switch (record.config->parallel().schedule()) {
    case config::Parallel::gpipe:
      plan.schedule_name = "gpipe";
      plan.generate = gpipe;
      break;
    case config::Parallel::one_f_one_b:
      plan.schedule_name = "1f1b";
      plan.generate = one_f_one_b;
      break;
  }
  if (plan.generate == nullptr) return std::nullopt;
  return plan;
}

std::string pipeline(const RunRecord& record) {
  const std::optional<PipelinePlan> plan = plan_of(record);
  if (!plan) {
    return "<p class=\"card nothing\">The schedule is not known: the config cannot be read, or it "
           "does not fit the layout.</p>";
  }
  return "<div class=\"card\">" + pipeline_html(*plan) + "</div>";
}

std::string events(const RunRecord& record) {
  const std::vector<RunEvent>& all = record.events.events;
  if (all.empty()) return "<p class=\"card nothing\">No events were recorded.</p>";
  const std::int64_t total = record.events.total();
  const std::size_t shown = std::min(all.size(), kEventsShown);
  std::string html = "<div class=\"card\">";
  if (static_cast<std::int64_t>(shown) < total) {
    html += str("<p>", grouped(static_cast<std::int64_t>(shown)), " of ", grouped(total),
                " events: the newest, at most ", grouped(std::int64_t{RunEvents::kMaxOfKind}),
                " of a kind and ", grouped(std::int64_t{kEventsShown}), " in all.</p>");
  }
  html +=
      "<div class=\"scroll tall\"><table class=\"plain\" id=\"event-table\"><thead><tr>"
      "<th>time (UTC)</th><th class=\"number\">step</th><th>event</th><th>details</th></tr>"
      "</thead><tbody>";
  for (std::size_t i = all.size() - shown; i < all.size(); ++i) {
    const RunEvent& event = all[i];
    html += str("<tr><td class=\"time\">", escaped(event.time, 40), "</td><td class=\"number\">",
                event.step ? grouped(*event.step) : "", "</td><td>",
                escaped(title_of_kind(event.kind), 60), "</td><td>", escaped(details_of(event)),
                "</td></tr>");
  }
  return html + "</tbody></table></div></div>";
}

std::string config_section(const RunRecord& record) {
  if (record.config_yaml.empty()) {
    return "<p class=\"card nothing\">The run has no config.yaml.</p>";
  }
  return "<div class=\"card\">" + config_html(record.config_yaml) + "</div>";
}

std::string data_of(const Drawn& drawn) {
  const auto& [range, marks, charts, lanes] = drawn;
  std::string json = str("{\"steps\":", json_array({range.first, range.last}, 15), ",\"marks\":[");
  for (std::size_t i = 0; i < marks.size(); ++i) {
    json +=
        str(i == 0 ? "" : ",", "{\"kind\":", json_text(marks[i].kind),
            ",\"x\":", json_number(marks[i].step, 15), ",\"text\":", json_text(marks[i].text), "}");
  }
  json += "],\"charts\":[";
  bool first = true;
  for (const Chart& chart : charts) {
    if (chart.curves.empty()) continue;
    json += str(first ? "" : ",\n", chart_json(chart));
    first = false;
  }
  return json + "],\"strip\":" + (lanes.empty() ? "null" : strip_json(lanes)) + "}";
}

}  // namespace

std::string report_page(const RunRecord& record, const std::vector<Range>& stages) {
  const Drawn drawn{steps_of(record), marks_of(record.events), charts_of(record),
                    lanes_of(record.events)};
  std::string html = head(record.name() + " – run report");
  html += "<body>\n" + header(record) + "<main>\n";
  html += section(0, summary(record));
  html += section(1, curves(drawn));
  html += section(2, layout(record, stages));
  html += section(3, pipeline(record));
  html += section(4, events(record));
  html += section(5, config_section(record));
  html += str("</main>\n<footer>Made by <code>cloze report</code> from ",
              escaped(record.directory.string()), ".</footer>\n");
  html += "<script type=\"application/json\" id=\"report-data\">" + data_of(drawn) + "</script>\n";
  html += str("<script>\n", report_script(), "</script>\n</body></html>\n");
  return html;
}

}  // namespace cloze
