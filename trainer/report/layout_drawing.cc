#include "trainer/report/layout_drawing.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "parallel/base/check.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

constexpr int kStagesShown = 12;
constexpr int kTensorShown = 8;
constexpr int kCellsAcross = 24;  // Of all replicas that are drawn, about.
constexpr int kGroupsShown = 4;
constexpr int kRanksShown = 8;  // Of a group, in words.

// "embedding, layers 0 to 3" of stage `stage`.
std::string holds(const std::vector<Range>& stages, int stage, int num_stages) {
  std::string text = stage == 0 ? "embedding, " : "";
  if (std::ssize(stages) == num_stages) {
    const Range& layers = stages[static_cast<std::size_t>(stage)];
    text += layers.count() == 1 ? str("layer ", layers.first)
                                : str("layers ", layers.first, "–", layers.last - 1);
  } else {
    text += "layers";
  }
  return text + (stage + 1 == num_stages ? ", final norm and head" : "");
}

std::string cell(const Mesh& mesh, const Coordinates& at) {
  const int rank = mesh.rank(at);
  return str("<span class=\"rank\" tabindex=\"0\" data-p=\"", at.pipeline, "\" data-d=\"", at.data,
             "\" data-t=\"", at.tensor, "\" title=\"rank ", rank, ": pipeline ", at.pipeline,
             ", data ", at.data, ", tensor ", at.tensor, "\">", rank, "</span>");
}

std::string replica_cells(const Mesh& mesh, int stage, int replica) {
  if (replica < 0) return "<td class=\"more\">…</td>";
  std::string html = "<td><div class=\"ranks\">";
  for (const int tensor : shown_of(mesh.degrees().tensor, kTensorShown)) {
    html += tensor < 0 ? "<span class=\"more\">…</span>"
                       : cell(mesh, {.pipeline = stage, .data = replica, .tensor = tensor});
  }
  return html + "</div></td>";
}

std::string grid(const Mesh& mesh, const std::vector<Range>& stages) {
  const Degrees& degrees = mesh.degrees();
  const int across = std::max(3, kCellsAcross / std::min(degrees.tensor, kTensorShown));
  const std::vector<int> replicas = shown_of(degrees.data, across);
  std::string html = "<div class=\"scroll\"><table class=\"mesh\"><thead><tr><td></td>";
  for (const int replica : replicas) {
    html += replica < 0 ? "<td class=\"more\">…</td>"
                        : str("<th scope=\"col\">data ", replica, "</th>");
  }
  html += "</tr></thead><tbody>";
  for (const int stage : shown_of(degrees.pipeline, kStagesShown)) {
    if (stage < 0) {
      html += str("<tr><th class=\"more\">⋮</th><td class=\"more\" colspan=\"", replicas.size(),
                  "\"></td></tr>");
      continue;
    }
    html += str("<tr><th scope=\"row\">stage ", stage, "<small>",
                holds(stages, stage, degrees.pipeline), "</small></th>");
    for (const int replica : replicas) html += replica_cells(mesh, stage, replica);
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

// The ranks of a group, `stride` apart: "0 2 4 6".
std::string ranks_text(int first, int stride, int count) {
  std::string text;
  for (int i = 0; i < std::min(count, kRanksShown); ++i) {
    text += str(i == 0 ? "" : " ", first + i * stride);
  }
  return text + (count > kRanksShown ? str(" … ", first + (count - 1) * stride) : "");
}

// The first groups of an axis: "[0 1] [2 3] …". Their ranks are computed, since a search through
// all ranks of a large run would take longer than its reader waits.
std::string groups_text(const Mesh& mesh, Axis axis) {
  const int degree = mesh.degrees().of(axis);
  int stride = 1;
  for (const Axis inner : kAxes) stride *= inner > axis ? mesh.degrees().of(inner) : 1;
  const int num_groups = mesh.world() / degree;
  std::string text;
  for (int group = 0; group < std::min(num_groups, kGroupsShown); ++group) {
    const int first = group / stride * stride * degree + group % stride;
    text += str(group == 0 ? "" : " ", "[", ranks_text(first, stride, degree), "]");
  }
  if (num_groups > kGroupsShown) text += str(" … ", grouped(num_groups), " groups");
  return text;
}

struct Sharing {
  Axis axis;
  const char* shares;
};

constexpr std::array<Sharing, 3> kSharing = {{
    {Axis::kTensor, "hold a part of each matrix of the same layers and sum each layer's output"},
    {Axis::kPipeline, "hold one stage each and pass activations on and gradients back"},
    {Axis::kData, "hold the same weights, train on different rows and sum their gradients"},
}};

std::string sharing(const Mesh& mesh) {
  std::string html =
      "<div class=\"scroll\"><table class=\"plain\"><thead><tr><th>axis</th><th "
      "class=\"number\">ranks</th><th>the ranks of a group</th><th>groups</th></tr></thead><tbody>";
  for (const auto& [axis, shares] : kSharing) {
    const int degree = mesh.degrees().of(axis);
    html += str("<tr><th scope=\"row\"><i class=\"axis-", name_of(axis), "\"></i>", name_of(axis),
                "</th><td class=\"number\">", degree, "</td><td>",
                degree == 1 ? "one rank alone: nothing to share" : shares, "</td><td>",
                degree == 1 ? "" : groups_text(mesh, axis), "</td></tr>");
  }
  return html + "</tbody></table></div>";
}

}  // namespace

std::vector<int> shown_of(int count, int limit) {
  std::vector<int> shown(static_cast<std::size_t>(std::min(count, limit)));
  std::iota(shown.begin(), shown.end(), 0);
  if (count > limit) {
    shown[shown.size() - 2] = -1;
    shown.back() = count - 1;
  }
  return shown;
}

std::string layout_html(const Degrees& degrees, const std::vector<Range>& stages) {
  const Mesh mesh(degrees);
  const std::string words =
      str("<p>", grouped(mesh.world()), mesh.world() == 1 ? " rank" : " ranks", " = pipeline ",
          degrees.pipeline, " × data ", degrees.data, " × tensor ", degrees.tensor,
          ".<span class=\"script\"> Point at a rank to see with whom it shares.</span></p>");
  return words + grid(mesh, stages) + sharing(mesh);
}

}  // namespace cloze
