#include "parallel/trace/trace_lanes.h"

namespace cloze {

TraceLanes::Lane TraceLanes::lane_of(const TraceEvent& event) {
  if (event.kind == TraceKind::kSpan || event.kind == TraceKind::kWait) {
    return {.group = -1, .ordinal = 0, .is_new = !std::exchange(thread_used_, true)};
  }
  const auto group = static_cast<std::size_t>(event.group);
  if (ends_.size() <= group) ends_.resize(group + 1);
  std::vector<std::int64_t>& ends = ends_[group];
  std::size_t ordinal = 0;
  while (ordinal < ends.size() && ends[ordinal] > event.begin) ++ordinal;
  const bool is_new = ordinal == ends.size();
  if (is_new) ends.push_back(0);
  ends[ordinal] = event.end;
  return {.group = event.group, .ordinal = static_cast<int>(ordinal), .is_new = is_new};
}

}  // namespace cloze
