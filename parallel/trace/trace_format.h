// The lines that all trace files share, which joining them relies on.
#pragma once

#include <cstdint>

namespace cloze {

inline constexpr const char* kTraceFormat = "cloze-trace";
inline constexpr int kTraceVersion = 1;

// A file is kTraceHead, a JSON object that describes it, kTraceBegin; then a line an event, each
// but the last with a comma; then kTraceEnd.
inline constexpr const char* kTraceHead = R"({"displayTimeUnit":"ms","otherData":)";
inline constexpr const char* kTraceBegin = R"(,"traceEvents":[)";
inline constexpr const char* kTraceEnd = "\n]}\n";

// The "tid" of a rank's lane; `place` as TraceLanes::Lane::place(). Perfetto takes ids for those of
// Linux: a thread has its own among all processes, 0 is nobody's, and one that is a process's id
// too is that process's first thread.
constexpr std::int64_t trace_thread_id(int num_ranks, int rank, int place) {
  constexpr std::int64_t kMostPlaces = 100'000;
  return num_ranks + rank * kMostPlaces + place;
}

}  // namespace cloze
