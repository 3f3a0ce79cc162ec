// RUN/events.jsonl: what happened to a run besides its steps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/report/json_lines.h"

namespace cloze {

struct RunEvent {
  std::string time;              // As written: UTC, 2026-03-01T12:34:56.789Z.
  std::optional<double> second;  // The same, seconds since 1970; nothing when it cannot be read.
  std::string kind;              // "start", "save", ...
  std::optional<std::int64_t> step;
  // The others, as texts: of many and of long ones the front.
  std::vector<std::pair<std::string, std::string>> fields;

  const std::string* field(std::string_view name) const;
  std::optional<std::int64_t> number(std::string_view name) const;
};

struct RunEvents {
  static constexpr std::size_t kMaxOfKind = 400;  // The newest of each kind are kept.
  static constexpr std::size_t kMaxKinds = 24;    // Further ones are one more, "other".

  std::vector<RunEvent> events;                             // In the order of the file.
  std::map<std::string, std::int64_t, std::less<>> counts;  // Of each kind, dropped ones too.
  LineCounts lines;
  std::optional<double> first_second;  // Of the file's first event.
  bool missing = false;                // There is no such file.

  std::int64_t count(std::string_view kind) const;
  std::int64_t total() const;  // Of all kinds, dropped ones too.
  // The newest start or resume.
  const RunEvent* newest_start() const;
};

// A missing file is no error: a report without events is still one. kBadInput when it is no
// regular file.
RunEvents read_events(const std::filesystem::path& path);

}  // namespace cloze
