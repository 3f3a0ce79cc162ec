// Lays calls in flight, which overlap freely, on lanes of which each shows one at a time: a viewer
// draws only what nests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "parallel/trace/trace.h"

namespace cloze {

class TraceLanes {
 public:
  struct Lane {
    int group;    // Of a call; -1: the rank's thread.
    int ordinal;  // Among the lanes of the group.
    bool is_new;  // Nothing was laid on it before.

    // Where it is shown: the thread at 0, then the groups, the lanes of one side by side. Calls
    // that find a thousand in flight share the last.
    int place() const {
      return group < 0 ? 0 : (group + 1) * kMostOfGroup + std::min(ordinal, kMostOfGroup - 1);
    }
    static constexpr int kMostOfGroup = 1000;
  };

  // The lane of an event; call it in the order of the events' begins.
  Lane lane_of(const TraceEvent& event);

 private:
  std::vector<std::vector<std::int64_t>> ends_;  // By group and ordinal: of the last event there.
  bool thread_used_ = false;
};

}  // namespace cloze
