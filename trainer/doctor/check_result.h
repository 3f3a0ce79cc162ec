// One finding of `cloze doctor`, as a value: how it is shown, and how it travels between ranks.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cloze {

// kSkip: there is nothing to check here, or it cannot be seen.
enum class Status : std::uint8_t { kOk, kSkip, kWarn, kFail };

// Of which one finding speaks: the whole job, one host, or one rank.
enum class Scope : std::uint8_t { kJob, kHost, kRank };

// Nothing when it is unknown.
using Value = std::variant<std::monostate, std::int64_t, double, std::string>;

struct CheckResult {
  std::string name{};  // "disk.write": a group and what of it. Scripts rely on it.
  Status status = Status::kOk;
  Value value{};
  std::string unit{};    // Of a number: bytes, bytes/s, s, us, FLOP/s, or what is counted.
  std::string detail{};  // What else was seen, and what a warning or a failure means.
  std::string fix{};     // What to do; empty when there is nothing to do.
  Scope scope = Scope::kHost;

  bool operator==(const CheckResult&) const = default;
};

std::string_view name_of(Status status);  // "ok", "skip", "warn", "fail".

// A check that could not look: what it reads is not there, as in some containers.
CheckResult unknown(std::string name, std::string detail);

// Makes it a warning or a failure: `what` joins the detail behind "; ", `fix` says what to do.
void complain(CheckResult& check, Status status, std::string_view what, std::string fix);

// Puts `more` behind `checks`.
void append(std::vector<CheckResult>& checks, std::vector<CheckResult> more);

// "23.5 GiB", "1.35 GB/s", "12.3 us", "58.1 GFLOP/s", "4 cores"; "unknown" without a value.
std::string value_text(const CheckResult& check);

// "warn  disk.write         12.0 MB/s [host b] detail | fix: ...", without a newline. `where` is
// empty for what holds everywhere.
std::string line_of(const CheckResult& check, std::string_view where);

// {name, status, value, unit, detail, fix}.
nlohmann::ordered_json json_of(const CheckResult& check);

// For the way between ranks: all of it, and back to the same value.
nlohmann::json pack(const CheckResult& check);
CheckResult unpack(const nlohmann::json& packed);

}  // namespace cloze
