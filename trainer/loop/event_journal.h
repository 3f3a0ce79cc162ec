// RUN/events.jsonl: what happened to the run besides its steps: saves, skips, restarts, changes
// of the config. Never shortened but for a torn last line.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "trainer/loop/append_file.h"

namespace cloze {

class EventJournal {
 public:
  explicit EventJournal(const std::filesystem::path& path);

  // Appends {"time": UTC with milliseconds, "event": `event`, ...fields} and flushes it to the
  // device: events are rare and tell what a crash was about. `fields` is an object.
  void record(std::string_view event, const nlohmann::ordered_json& fields);

 private:
  AppendFile file_;
};

}  // namespace cloze
