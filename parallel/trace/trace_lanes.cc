#include "parallel/trace/trace_lanes.h"

namespace cloze {

TraceLanes::Lane TraceLanes::lane_of(const TraceEvent& event) {
  if (event.kind == TraceKind::kSpan || event.kind == TraceKind::kWait) {
    return {.id = 0, .group = -1, .ordinal = 0, .is_new = !std::exchange(thread_used_, true)};
  }
  const auto group = static_cast<std::size_t>(event.group);
  if (by_group_.size() <= group) by_group_.resize(group + 1);
  std::vector<Used>& lanes = by_group_[group];
  std::size_t place = 0;
  while (place < lanes.size() && lanes[place].end > event.begin) ++place;
  const bool is_new = place == lanes.size();
  if (is_new) lanes.push_back({.id = ++num_lanes_, .end = 0});
  lanes[place].end = event.end;
  return {.id = lanes[place].id,
          .group = event.group,
          .ordinal = static_cast<int>(place),
          .is_new = is_new};
}

}  // namespace cloze
