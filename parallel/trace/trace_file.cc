#include "parallel/trace/trace_file.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "parallel/trace/trace_format.h"
#include "parallel/trace/trace_lanes.h"

namespace cloze {
namespace {

using Json = nlohmann::ordered_json;

// A text as JSON, quotes included. Bytes that are no UTF-8 are replaced.
std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Microseconds with all digits of the nanoseconds.
std::string microseconds(std::int64_t nanoseconds) {
  char text[32];
  const std::int64_t size = nanoseconds < 0 ? -nanoseconds : nanoseconds;
  std::snprintf(text, sizeof text, "%s%lld.%03lld", nanoseconds < 0 ? "-" : "",
                static_cast<long long>(size / 1000), static_cast<long long>(size % 1000));
  return text;
}

class TraceWriter {
 public:
  TraceWriter(const Trace& trace, const TraceProcess& process, const std::filesystem::path& path)
      : trace_(trace),
        process_(process),
        process_id_(str(R"("pid":)", process.rank)),
        file_(path) {}

  void write() {
    file_.write(str(kTraceHead, json_text(description()), kTraceBegin));
    write_metadata("process_name", 0, "name", process_name());
    write_metadata("process_sort_index", 0, "sort_index", process_.rank);
    for (const TraceEvent& event : trace_.events()) write_event(event);
    if (trace_.num_dropped() > 0) write_drops();
    file_.write(kTraceEnd);
    file_.commit();
  }

 private:
  std::string process_name() const {
    std::string places;
    for (const auto& [axis, place] : process_.coordinates) {
      places += str(places.empty() ? "" : ", ", axis, " ", place);
    }
    return str("rank ", process_.rank, " (", places, ") ", process_.host);
  }

  Json description() const {
    Json coordinates = Json::object();
    for (const auto& [axis, place] : process_.coordinates) coordinates[axis] = place;
    Json groups = Json::array();
    for (const TraceGroup& group : trace_.groups()) {
      groups.push_back({{"name", group.name}, {"rank", group.rank}, {"members", group.members}});
    }
    const ClockAlignment& clock = process_.clock;
    return {{"format", kTraceFormat},
            {"version", kTraceVersion},
            {"rank", process_.rank},
            {"num_ranks", process_.num_ranks},
            {"host", process_.host},
            {"coordinates", std::move(coordinates)},
            {"steps", trace_.steps()},
            {"begin_ns", since_origin(trace_.began())},
            {"end_ns", since_origin(trace_.ended())},
            {"clock",
             {{"offset_ns", clock.offset()},
              {"drift_ns", clock.drift()},
              {"uncertainty_ns", clock.uncertainty()}}},
            {"events", trace_.events().size()},
            {"events_dropped", trace_.num_dropped()},
            {"groups", std::move(groups)}};
  }

  std::int64_t since_origin(std::int64_t time) const {
    return process_.clock.aligned(time) - process_.origin;
  }

  void line(const std::string& text) {
    file_.write(first_ ? "\n" : ",\n");
    file_.write(text);
    first_ = false;
  }

  // `,"tid":...`
  std::string thread_id(int place) const {
    return str(R"(,"tid":)", trace_thread_id(process_.num_ranks, process_.rank, place));
  }

  void write_metadata(const char* what, int place, const char* key, const Json& value) {
    line(str(R"({"ph":"M","name":")", what, R"(",)", process_id_, thread_id(place), R"(,"args":)",
             json_text({{key, value}}), "}"));
  }

  void write_lane(const TraceLanes::Lane& lane) {
    std::string name = "compute";
    if (lane.group >= 0) {
      name = trace_.groups()[static_cast<std::size_t>(lane.group)].name;
      if (lane.ordinal > 0) name += str(" (", lane.ordinal + 1, ")");
    }
    const int place = lane.place();
    write_metadata("thread_name", place, "name", name);
    write_metadata("thread_sort_index", place, "sort_index", place);
  }

  // `"name":...,"cat":...,`, and the group: the same for many events, so made once.
  struct Texts {
    std::string head;
    std::string group;
  };
  const Texts& texts_of(const TraceEvent& event) {
    Texts& texts = texts_[{event.kind, event.group, event.name}];
    if (!texts.head.empty()) return texts;
    std::string name = event.name;
    if (event.group >= 0) {
      const std::string& group = trace_.groups()[static_cast<std::size_t>(event.group)].name;
      name = str(event.kind == TraceKind::kWait ? "wait " : "", group, ".", event.name);
      texts.group = str(R"(,"group":)", json_text(group));
    }
    texts.head = str(R"({"name":)", json_text(name), R"(,"cat":")", category_of(event.kind),
                     R"(","ph":"X",)", process_id_);
    return texts;
  }

  static const char* category_of(TraceKind kind) {
    switch (kind) {
      case TraceKind::kSpan:
        return "compute";
      case TraceKind::kWait:
        return "wait";
      case TraceKind::kCall:
        return "collective";
      case TraceKind::kSend:
      case TraceKind::kReceive:
        return "message";
    }
    return "?";
  }

  void write_event(const TraceEvent& event) {
    const TraceLanes::Lane lane = lanes_.lane_of(event);
    if (lane.is_new) write_lane(lane);
    const int place = lane.place();
    const Texts& texts = texts_of(event);
    const std::int64_t begin = since_origin(event.begin);
    const std::int64_t end = since_origin(event.end);
    std::string text =
        str(texts.head, thread_id(place), R"(,"ts":)", microseconds(begin), R"(,"dur":)",
            microseconds(end - begin), R"(,"args":{"step":)", event.step);
    if (event.stage >= 0) text += str(R"(,"stage":)", event.stage);
    if (event.microbatch >= 0) text += str(R"(,"microbatch":)", event.microbatch);
    text += texts.group;
    if (event.bytes >= 0) text += str(R"(,"bytes":)", event.bytes);
    if (event.peer >= 0) text += str(R"(,"peer":)", peer_of(event), R"(,"message":)", event.number);
    if (event.peer < 0 && event.number >= 0) text += str(R"(,"call":)", event.number);
    line(text + "}}");
    if (event.kind == TraceKind::kSend) write_flow(event, place, begin);
    if (event.kind == TraceKind::kReceive) write_flow(event, place, std::max(begin, end - 1));
  }

  int peer_of(const TraceEvent& event) const {
    return trace_.groups()[static_cast<std::size_t>(event.group)]
        .members[static_cast<std::size_t>(event.peer)];
  }

  // The arrow from a send to its receive: both ranks find the same number for it.
  void write_flow(const TraceEvent& event, int place, std::int64_t time) {
    const bool sends = event.kind == TraceKind::kSend;
    const std::int64_t sender = sends ? process_.rank : peer_of(event);
    const std::int64_t receiver = sends ? peer_of(event) : process_.rank;
    const auto num_groups = static_cast<std::int64_t>(trace_.groups().size());
    const std::int64_t id =
        ((event.number * process_.num_ranks + sender) * process_.num_ranks + receiver) *
            num_groups +
        event.group;
    line(str(R"({"name":"message","cat":"flow","ph":")", sends ? "s" : "f",
             sends ? R"(",)" : R"(","bp":"e",)", process_id_, thread_id(place), R"(,"ts":)",
             microseconds(time), R"(,"id":)", id, "}"));
  }

  void write_drops() {
    line(str(R"({"name":"events dropped","cat":"trace","ph":"i","s":"p",)", process_id_,
             thread_id(0), R"(,"ts":)", microseconds(since_origin(trace_.first_dropped())),
             R"(,"args":{"count":)", trace_.num_dropped(), "}}"));
  }

  const Trace& trace_;
  const TraceProcess& process_;
  const std::string process_id_;
  ReplacingFile file_;
  TraceLanes lanes_;
  std::map<std::tuple<TraceKind, int, const char*>, Texts> texts_;
  bool first_ = true;
};

}  // namespace

std::string rank_trace_name(int rank) {
  char name[32];
  std::snprintf(name, sizeof name, "rank-%05d.json", rank);
  return name;
}

void write_trace(const Trace& trace, const TraceProcess& process,
                 const std::filesystem::path& path) {
  TraceWriter(trace, process, path).write();
}

}  // namespace cloze
