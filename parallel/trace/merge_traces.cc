#include "parallel/trace/merge_traces.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "parallel/trace/trace_file.h"
#include "parallel/trace/trace_format.h"

namespace cloze {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kLongestLine = 16 << 20;  // The members of a group of a million ranks.

// The lines of a file, one after the other.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path)
      : file_(File::open_for_reading(path)), left_(file_.size()) {}

  // Without its end; nothing behind the last.
  std::optional<std::string_view> next() {
    std::size_t end = buffer_.find('\n', place_);
    while (end == std::string::npos && left_ > 0) {
      const std::size_t searched = buffer_.size() - place_;
      CLOZE_REQUIRE(searched <= kLongestLine, ExitCode::kBadInput,
                    str(file_.path().string(), " has a line of more than ", kLongestLine, " bytes"),
                    "trace again; nothing else may write there");
      read_more();
      end = buffer_.find('\n', searched);
    }
    if (end == std::string::npos) return std::nullopt;
    const std::string_view line = std::string_view(buffer_).substr(place_, end - place_);
    place_ = end + 1;
    return line;
  }

 private:
  void read_more() {
    buffer_.erase(0, place_);
    place_ = 0;
    const auto count = static_cast<std::size_t>(
        std::min<std::int64_t>(left_, static_cast<std::int64_t>(kReadBytes)));
    const std::size_t before = buffer_.size();
    buffer_.resize(before + count);
    file_.read_at(file_.size() - left_,
                  std::as_writable_bytes(std::span<char>(buffer_).subspan(before)));
    left_ -= static_cast<std::int64_t>(count);
  }

  const File file_;
  std::int64_t left_;  // Bytes not read.
  std::string buffer_;
  std::size_t place_ = 0;
};

void require_form(bool holds, const std::filesystem::path& path) {
  CLOZE_REQUIRE(holds, ExitCode::kBadInput, str(path.string(), " is no trace of this version"),
                "trace again; nothing else may write there");
}

// What the first line says of the rank.
std::string_view description_of(LineReader& reader, const std::filesystem::path& path, int rank) {
  const auto line = reader.next();
  const std::string_view head(kTraceHead);
  const std::string_view begin(kTraceBegin);
  require_form(line && line->starts_with(head) && line->ends_with(begin), path);
  const std::string_view text =
      line->substr(head.size(), line->size() - head.size() - begin.size());
  const Json description = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto says = [&](const char* key, const Json& value) {
    const auto found = description.find(key);
    return found != description.end() && *found == value;
  };
  require_form(says("format", kTraceFormat) && says("version", kTraceVersion) && says("rank", rank),
               path);
  return text;
}

}  // namespace

void merge_traces(const std::filesystem::path& folder, int num_ranks) {
  ReplacingFile merged(folder / kMergedTraceName);
  // Descriptions first: whoever reads the file finds them at its beginning.
  merged.write(str(kTraceHead, R"({"format":")", kTraceFormat, R"(","version":)", kTraceVersion,
                   R"(,"ranks":[)"));
  for (int rank = 0; rank < num_ranks; ++rank) {
    const std::filesystem::path path = folder / rank_trace_name(rank);
    LineReader reader(path);
    merged.write(rank == 0 ? "\n" : ",\n");
    merged.write(description_of(reader, path, rank));
  }
  merged.write(str("]}", kTraceBegin));
  bool first = true;
  for (int rank = 0; rank < num_ranks; ++rank) {
    const std::filesystem::path path = folder / rank_trace_name(rank);
    LineReader reader(path);
    (void)description_of(reader, path, rank);
    bool ended = false;
    while (const auto line = reader.next()) {
      require_form(!ended, path);
      ended = *line == "]}";
      if (ended) continue;
      std::string_view event = *line;
      if (event.ends_with(',')) event.remove_suffix(1);
      require_form(event.starts_with('{') && event.ends_with('}'), path);
      merged.write(first ? "\n" : ",\n");
      merged.write(event);
      first = false;
    }
    require_form(ended, path);
  }
  merged.write(kTraceEnd);
  merged.commit();
}

}  // namespace cloze
