#include "trainer/report/pipeline_drawing.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "parallel/base/check.h"
#include "trainer/report/axis.h"
#include "trainer/report/layout_drawing.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

// Forwards and backwards; above, a shorter schedule stands for the run's.
constexpr std::int64_t kMostSimulated = 200'000;
constexpr std::int64_t kMostDrawn = 2'400;
constexpr int kMostStages = 256;  // The simulation of as many takes less than a second.

constexpr int kStagesListed = 16;
constexpr double kRowHeight = 30;
constexpr double kLeft = 76;
constexpr double kBottom = 30;

// The most microbatches, at most those of the plan, whose schedule has that many actions.
int fitting_microbatches(const PipelinePlan& plan, std::int64_t most) {
  const std::int64_t fitting =
      std::max<std::int64_t>(1, most / (std::int64_t{2} * plan.num_stages));
  return static_cast<int>(std::min<std::int64_t>(plan.num_microbatches, fitting));
}

const char* class_of(ActionKind kind) {
  return kind == ActionKind::kForward ? "forward" : "backward";
}

const char* word_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::kForward:
      return "forward";
    case ActionKind::kBackward:
      return "backward";
    case ActionKind::kBackwardInput:
      return "backward of the input";
    case ActionKind::kBackwardWeight:
      return "backward of the weights";
  }
  return "";
}

std::string cell(const TimedAction& timed, double tick) {
  const double width = (timed.end - timed.start) * tick;
  const double x = kLeft + timed.start * tick;
  const double y = timed.rank * kRowHeight + 3;
  const int microbatch = timed.action.microbatch;
  std::string svg = str(
      "<g class=\"", class_of(timed.action.kind), "\"><rect x=\"", coordinate(x + 0.5), "\" y=\"",
      coordinate(y), "\" width=\"", coordinate(std::max(0.5, width - 1)), "\" height=\"",
      coordinate(kRowHeight - 6), "\" rx=\"2\"><title>", word_of(timed.action.kind),
      " of microbatch ", microbatch, ", stage ", timed.action.stage, "</title></rect>");
  const double letters = 8.0 * static_cast<double>(std::to_string(microbatch).size());
  if (width >= letters + 2) {
    svg += str("<text x=\"", coordinate(x + width / 2), "\" y=\"", coordinate(y + 16.5),
               "\" class=\"middle\">", microbatch, "</text>");
  }
  return svg + "</g>";
}

std::string drawing(const Timeline& timeline, int num_stages) {
  const double tick = std::clamp(1100 / timeline.end, 4.0, 26.0);
  const double width = kLeft + timeline.end * tick + 16;
  const double bottom = num_stages * kRowHeight;
  std::string svg =
      str("<div class=\"scroll\"><svg class=\"pipeline\" viewBox=\"0 0 ", coordinate(width), " ",
          coordinate(bottom + kBottom), "\" style=\"width:", coordinate(width),
          "px\" role=\"img\" aria-labelledby=\"pipeline-title\"><title id=\"pipeline-title\">What "
          "each stage does over time</title>");
  for (int stage = 0; stage < num_stages; ++stage) {
    const double y = stage * kRowHeight;
    svg += str("<rect class=\"idle\" x=\"", kLeft, "\" y=\"", coordinate(y + 3), "\" width=\"",
               coordinate(timeline.end * tick), "\" height=\"", coordinate(kRowHeight - 6),
               "\"/><text x=\"", kLeft - 8, "\" y=\"", coordinate(y + 19.5),
               "\" class=\"end\">stage ", stage, "</text>");
  }
  for (const TimedAction& timed : timeline.actions) svg += cell(timed, tick);
  const ChartAxis time =
      linear_axis(0, timeline.end, std::max(1, static_cast<int>(std::min(timeline.end, 12.0))),
                  Unit::kNumber, /*whole_ticks=*/false);
  svg += "<g class=\"axis\">";
  for (std::size_t i = 0; i < time.ticks.size(); ++i) {
    const std::string x = coordinate(kLeft + time.ticks[i] * tick);
    svg += str("<path d=\"M", x, " ", coordinate(bottom), "v4\"/><text x=\"", x, "\" y=\"",
               coordinate(bottom + 17), "\" class=\"middle\">", time.labels[i], "</text>");
  }
  svg += str("<text x=\"", coordinate(kLeft - 8), "\" y=\"", coordinate(bottom + 17),
             "\" class=\"end name\">ticks</text></g>");
  return svg + "</svg></div>";
}

// "stage 0 holds 2, stage 1 holds 1".
std::string peaks(const Schedule& schedule) {
  std::string text;
  for (const int stage : shown_of(schedule.num_stages, kStagesListed)) {
    text += text.empty() ? "" : ", ";
    text += stage < 0 ? "…"
                      : str("stage ", stage, " ",
                            peak_activations(schedule.ranks[static_cast<std::size_t>(stage)]));
  }
  return text;
}

std::string fact(const char* name, const std::string& value) {
  return str("<div><dt>", name, "</dt><dd>", value, "</dd></div>");
}

}  // namespace

Timeline ticks_of(const Schedule& schedule) {
  return simulate(schedule, [](const PipelineAction& action) {
    return action.kind == ActionKind::kBackward ? 2.0 : 1.0;
  });
}

std::string pipeline_html(const PipelinePlan& plan) {
  std::string html = "<dl class=\"facts\">";
  html += fact("schedule", escaped(plan.schedule_name));
  html += fact("stages", grouped(plan.num_stages));
  html += fact("microbatches a step", grouped(plan.num_microbatches));
  if (plan.num_stages > kMostStages) {
    return html + "</dl><p>There are too many stages to simulate.</p>";
  }
  const int simulated = fitting_microbatches(plan, kMostSimulated);
  const Schedule whole = plan.generate(plan.num_stages, simulated);
  html += fact("bubble fraction", value_text(ticks_of(whole).bubble_fraction, Unit::kShare, 3));
  html += fact("most activations held", peaks(whole)) + "</dl>";
  html +=
      "<p>Numbers are microbatches. A backward takes twice as long as a forward; the bubble is "
      "the share of time in which stages wait.";
  if (simulated < plan.num_microbatches) {
    html += str(" The bubble is that of ", grouped(simulated), " microbatches of ",
                grouped(plan.num_microbatches), "; with all of them it is smaller.");
  }
  const int drawn = fitting_microbatches(plan, kMostDrawn);
  if (drawn < plan.num_microbatches) {
    html += str(" Drawn with ", grouped(drawn), " of ", grouped(plan.num_microbatches),
                " microbatches.");
  }
  html +=
      "</p><p class=\"legend\"><i class=\"forward\"></i>forward <i class=\"backward\"></i>"
      "backward <i class=\"idle\"></i>waiting</p>";
  return html + drawing(ticks_of(plan.generate(plan.num_stages, drawn)), plan.num_stages);
}

}  // namespace cloze
