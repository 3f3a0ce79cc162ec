// Reads a file of JSON lines that may still grow, be torn or be damaged: memory is bounded by the
// longest line that is read, and what cannot be read is counted, not fatal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace simdjson::dom {
class object;
}

namespace cloze {

struct LineCounts {
  std::int64_t read = 0;      // Lines that the visitor took.
  std::int64_t invalid = 0;   // No JSON object, or one the visitor refused.
  std::int64_t too_long = 0;  // Longer than kMaxJsonLine.
  bool torn = false;          // The last line has no newline: it is being written, or was cut off.
};

// Bytes. The trainer's lines are far below; a longer one is no line of ours.
inline constexpr std::int64_t kMaxJsonLine = 1 << 20;

// A step is drawn as a double, which counts so far; a larger one is no step of ours.
inline constexpr std::int64_t kLargestStep = std::int64_t{1} << 53;

inline bool is_step(std::int64_t step) { return step >= 0 && step <= kLargestStep; }

// False when the object is not what the file should hold.
using ObjectVisitor = std::function<bool(const simdjson::dom::object&)>;

// Visits the object of every whole line up to the size the file has now. kBadInput when it is
// missing or no regular file. Empty lines are passed over.
LineCounts read_json_lines(const std::filesystem::path& path, const ObjectVisitor& visit);

}  // namespace cloze
