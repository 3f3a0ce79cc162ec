#include "trainer/doctor/check_result.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

struct Step {
  double size;
  const char* name;
};

constexpr std::array kBytes = {Step{0x1p40, "TiB"}, Step{0x1p30, "GiB"}, Step{0x1p20, "MiB"},
                               Step{0x1p10, "KiB"}, Step{1, "bytes"}};
constexpr std::array kRates = {Step{1e9, "GB/s"}, Step{1e6, "MB/s"}, Step{1e3, "kB/s"},
                               Step{1, "B/s"}};
constexpr std::array kTimes = {Step{1, "s"}, Step{1e-3, "ms"}, Step{1e-6, "us"}, Step{1e-9, "ns"}};
constexpr std::array kFlops = {Step{1e12, "TFLOP/s"}, Step{1e9, "GFLOP/s"}, Step{1e6, "MFLOP/s"}};

// Three digits that matter, with the largest step that leaves at least one before the point.
template <std::size_t count>
std::string in_steps(double number, const std::array<Step, count>& steps) {
  const Step* chosen = &steps.back();
  for (const Step& step : steps) {
    if (std::abs(number) >= step.size) {
      chosen = &step;
      break;
    }
  }
  const double scaled = number / chosen->size;
  const double size = std::abs(scaled);
  const bool whole = chosen->size == 1 && size == std::floor(size);
  const int digits = whole || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f %s", digits, scaled, chosen->name);
  return text;
}

std::string number_text(double number, std::string_view unit) {
  if (!std::isfinite(number)) return str(number, unit.empty() ? "" : " ", unit);
  if (unit == "bytes") return in_steps(number, kBytes);
  if (unit == "bytes/s") return in_steps(number, kRates);
  if (unit == "s") return in_steps(number, kTimes);
  if (unit == "us") return in_steps(number * 1e-6, kTimes);
  if (unit == "FLOP/s") return in_steps(number, kFlops);
  return str(number, unit.empty() ? "" : " ", unit);
}

nlohmann::json json_of(const Value& value) {
  return std::visit(
      [](const auto& held) -> nlohmann::json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return nullptr;
        } else {
          return held;
        }
      },
      value);
}

Value value_of(const nlohmann::json& json) {
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  return {};
}

}  // namespace

std::string_view name_of(Status status) {
  constexpr std::array<std::string_view, 4> kNames = {"ok", "skip", "warn", "fail"};
  return kNames[static_cast<std::size_t>(status)];
}

CheckResult unknown(std::string name, std::string detail) {
  return {.name = std::move(name), .status = Status::kSkip, .detail = std::move(detail)};
}

void complain(CheckResult& check, Status status, std::string_view what, std::string fix) {
  check.status = status;
  check.detail += str(check.detail.empty() ? "" : "; ", what);
  check.fix = std::move(fix);
}

void append(std::vector<CheckResult>& checks, std::vector<CheckResult> more) {
  checks.insert(checks.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

std::string value_text(const CheckResult& check) {
  if (const auto* text = std::get_if<std::string>(&check.value)) return *text;
  if (const auto* whole = std::get_if<std::int64_t>(&check.value)) {
    // Counts keep all their digits.
    const bool scaled = check.unit == "bytes" || check.unit == "us" || check.unit == "s";
    if (!scaled) return str(*whole, check.unit.empty() ? "" : " ", check.unit);
    return number_text(static_cast<double>(*whole), check.unit);
  }
  if (const auto* number = std::get_if<double>(&check.value)) {
    return number_text(*number, check.unit);
  }
  return "unknown";
}

std::string line_of(const CheckResult& check, std::string_view where) {
  char start[64];
  std::snprintf(start, sizeof start, "%-4s  %-20s", std::string(name_of(check.status)).c_str(),
                check.name.c_str());
  std::string line = str(start, " ", value_text(check));
  if (!where.empty()) line += str(" [", where, "]");
  if (!check.detail.empty()) line += str(" | ", check.detail);
  if (!check.fix.empty()) line += str(" | fix: ", check.fix);
  // A line is one line, whatever a file or a program said.
  for (char& letter : line) {
    if (letter == '\n' || letter == '\r') letter = ' ';
  }
  return line;
}

nlohmann::ordered_json json_of(const CheckResult& check) {
  nlohmann::ordered_json json;
  json["name"] = check.name;
  json["status"] = name_of(check.status);
  json["value"] = json_of(check.value);
  json["unit"] = check.unit;
  json["detail"] = check.detail;
  json["fix"] = check.fix;
  return json;
}

nlohmann::json pack(const CheckResult& check) {
  return {
      check.name, static_cast<int>(check.status), json_of(check.value), check.unit, check.detail,
      check.fix,  static_cast<int>(check.scope)};
}

CheckResult unpack(const nlohmann::json& packed) {
  return {.name = packed.at(0).get<std::string>(),
          .status = static_cast<Status>(packed.at(1).get<int>()),
          .value = value_of(packed.at(2)),
          .unit = packed.at(3).get<std::string>(),
          .detail = packed.at(4).get<std::string>(),
          .fix = packed.at(5).get<std::string>(),
          .scope = static_cast<Scope>(packed.at(6).get<int>())};
}

}  // namespace cloze
