// The lines that all trace files share, which joining them relies on.
#pragma once

namespace cloze {

inline constexpr const char* kTraceFormat = "cloze-trace";
inline constexpr int kTraceVersion = 1;

// A file is kTraceHead, a JSON object that describes it, kTraceBegin; then a line an event, each
// but the last with a comma; then kTraceEnd.
inline constexpr const char* kTraceHead = R"({"displayTimeUnit":"ms","otherData":)";
inline constexpr const char* kTraceBegin = R"(,"traceEvents":[)";
inline constexpr const char* kTraceEnd = "\n]}\n";

}  // namespace cloze
