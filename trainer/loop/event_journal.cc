#include "trainer/loop/event_journal.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// Such as 2026-03-01T12:34:56.789Z.
std::string time_stamp() {
  using std::chrono::milliseconds;
  const auto now = std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
  const std::int64_t total = now.time_since_epoch().count();
  const auto seconds = static_cast<std::time_t>(total / 1000);
  std::tm calendar{};
  ::gmtime_r(&seconds, &calendar);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &calendar);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(total % 1000));
  return str(text.data(), fraction.data());
}

std::filesystem::path without_torn_line(const std::filesystem::path& path) {
  cut_torn_line(path);
  return path;
}

}  // namespace

EventJournal::EventJournal(const std::filesystem::path& path) : file_(without_torn_line(path)) {}

void EventJournal::record(std::string_view event, const nlohmann::ordered_json& fields) {
  nlohmann::ordered_json line = {{"time", time_stamp()}, {"event", event}};
  CLOZE_CHECK(fields.is_object() || fields.is_null(), str("event ", event, " has no named fields"),
              "give an object");
  if (fields.is_object()) line.update(fields);
  file_.append(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  file_.sync();
}

}  // namespace cloze
