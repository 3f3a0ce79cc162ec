// Lays calls in flight, which overlap freely, on lanes of which each shows one at a time: a viewer
// draws only what nests.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "parallel/trace/trace.h"

namespace cloze {

class TraceLanes {
 public:
  struct Lane {
    int id;       // 0 is the rank's thread; others in the order of their first use.
    int group;    // Of a call; -1: the thread.
    int ordinal;  // Among the lanes of the group.
    bool is_new;  // Nothing was laid on it before.
  };

  // The lane of an event; call it in the order of the events' begins.
  Lane lane_of(const TraceEvent& event);

 private:
  struct Used {
    int id;
    std::int64_t end;  // Of the last event on it.
  };

  std::vector<std::vector<Used>> by_group_;
  int num_lanes_ = 0;
  bool thread_used_ = false;
};

}  // namespace cloze
