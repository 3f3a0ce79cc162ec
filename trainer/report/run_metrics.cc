#include "trainer/report/run_metrics.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

namespace cloze {
namespace {

constexpr std::string_view kValidation = "validation";

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 40 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// What a metric can be; everything else is no metric.
struct Number {
  bool known = false;
  std::optional<double> value = {};  // Nothing: null, as not finite numbers are written.
};

Number number_of(const simdjson::dom::element& element) {
  if (element.is_null()) return {.known = true};
  double number = 0;
  if (element.get(number) == simdjson::SUCCESS) return {.known = true, .value = number};
  bool flag = false;
  if (element.get(flag) == simdjson::SUCCESS) return {.known = true, .value = flag ? 1 : 0};
  return {};
}

class MetricsReader {
 public:
  bool line(const simdjson::dom::object& object) {
    std::int64_t step = 0;
    if (object["step"].get(step) != simdjson::SUCCESS || !is_step(step)) return false;
    if (any_ && step <= metrics_.last_step) ++metrics_.num_steps_back;
    metrics_.first_step = any_ ? std::min(metrics_.first_step, step) : step;
    metrics_.last_step = step;
    any_ = true;
    for (const auto field : object) {
      simdjson::dom::object inner;
      if (field.key == "step") continue;
      if (field.key == kValidation && field.value.get(inner) == simdjson::SUCCESS) {
        for (const auto figure : inner) add(step, "validation.", figure.key, figure.value);
      } else {
        add(step, "", field.key, field.value);
      }
    }
    return true;
  }

  RunMetrics& metrics() { return metrics_; }

 private:
  void add(std::int64_t step, std::string_view prefix, std::string_view key,
           const simdjson::dom::element& element) {
    const Number number = number_of(element);
    if (!number.known) return;
    if (!is_name(key)) {
      ++metrics_.num_ignored;
      return;
    }
    name_.assign(prefix).append(key);
    auto found = metrics_.series.find(name_);
    if (found == metrics_.series.end()) {
      if (metrics_.series.size() >= RunMetrics::kMaxSeries) {
        ++metrics_.num_ignored;
        return;
      }
      found = metrics_.series.emplace(name_, Series()).first;
    }
    found->second.add(step, number.value);
  }

  RunMetrics metrics_;
  std::string name_;
  bool any_ = false;
};

std::size_t place_of(std::string_view objective) {
  return static_cast<std::size_t>(std::ranges::find(kObjectives, objective) - kObjectives.begin());
}

}  // namespace

const Series& RunMetrics::of(std::string_view name) const {
  static const Series none;
  const auto found = series.find(name);
  return found == series.end() ? none : found->second;
}

std::vector<std::string> RunMetrics::names_behind(std::string_view prefix) const {
  std::vector<std::string> names;
  for (const auto& [name, values] : series) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  std::ranges::stable_sort(names, {}, [](const std::string& name) { return place_of(name); });
  return names;
}

RunMetrics read_metrics(const std::filesystem::path& path) {
  MetricsReader reader;
  const LineCounts lines = read_json_lines(
      path, [&](const simdjson::dom::object& object) { return reader.line(object); });
  reader.metrics().lines = lines;
  return std::move(reader.metrics());
}

}  // namespace cloze
